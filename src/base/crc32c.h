/* crc32c.h: the checksum of what lies on disk (CRC-32C, RFC 3720 appendix B.4; "123456789" gives 0xe3069283).
 *
 * It finds every error burst of up to 32 bits; it is no protection against intent. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Go on from `crc`, 0 at the start: crc32c(crc32c(0, a), b) is the checksum of a and b joined. Uses the
 * processor's instruction where there is one (SSE4.2). */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);

/* The same by table, on any processor. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t length);
