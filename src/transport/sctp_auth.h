/* sctp_auth.h: authenticated chunks of the kernel's SCTP (RFC 4895), as DTLS over SCTP demands them of both
 * sides (RFC 6083 4.5, 4.8): who has not the key can neither change the stream of a message nor hide that one
 * was dropped. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SCTP_KEY_OCTETS = 64 };

/* Of a socket, before it connects or listens: chunks with data, and those that skip data, are sent
 * authenticated where the other side wants it, and taken only so. With HMAC-SHA-256 where both have it. false
 * with errno: this kernel has no SCTP-AUTH, or it cannot be had for one socket (before Linux 5.4). */
bool sctp_auth_prepare(int fd);

/* Of an association: the other side wants data authenticated too. */
bool sctp_auth_is_mutual(int fd);

/* Of an association. Number 0 is the empty key that each begins with. What is given to send from `use` on is
 * under that key; what was sent before stays under its own. false with errno. */
bool sctp_auth_add_key(int fd, uint16_t number, const uint8_t key[SCTP_KEY_OCTETS]);
bool sctp_auth_use_key(int fd, uint16_t number);
bool sctp_auth_drop_key(int fd, uint16_t number);

/* Of a socket or its association: what was not acknowledged is sent again after so long at the least. */
bool sctp_set_least_timeout(int fd, uint32_t ms);

/* Be told when all that was sent is acknowledged: an event in the receive queue (RFC 6458 6.1.9). */
bool sctp_want_dry_event(int fd);
/* All that was sent is acknowledged. */
bool sctp_is_dry(int fd);
