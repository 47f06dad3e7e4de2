import { defineConfig } from "vite";

// No inlined data, no source maps, names that change with their content: what `weir` serves as it is.
export default defineConfig({
  base: "/",
  publicDir: false,
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    target: "es2020",
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    cssCodeSplit: false,
    outDir: process.env.WEIR_PAGE_OUT || "dist",
    emptyOutDir: true,
  },
  server: { proxy: { "/api": process.env.WEIR_API || "http://127.0.0.1:8080" } },
});
