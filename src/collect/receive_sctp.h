/* receive_sctp.h: what the listeners of Sctp and DtlsSctp share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The socket of a listener, before it listens: its buffer, at most so many streams of an exporter, and that
 * its exporters never take for read what was not. */
void sctp_prepare_listener(int fd, uint16_t streams);

/* Take what was only looked at, `length` octets, out of the kernel's queue, into `room` for as many. */
bool sctp_let_go(int fd, uint8_t *room, size_t length);
