# The words people type; Meson and Ninja do the work.
BUILD ?= build

.PHONY: all build
all: build

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD)
