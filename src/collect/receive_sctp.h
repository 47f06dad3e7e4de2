/* receive_sctp.h: what the listeners of Sctp and DtlsSctp share. */
#pragma once

#include <stdint.h>

/* The socket of a listener, before it listens: its buffer, at most so many streams of an exporter, and that
 * its exporters never take for read what was not. */
void sctp_prepare_listener(int fd, uint16_t streams);
