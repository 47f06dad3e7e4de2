/* demo_traffic.h: what the three systems of the demo say to each other through the overlay: TCP and UDP
 * streams (iperf3), pings, and small questions and answers over UDP, each over IPv4 and IPv6. */
#pragma once

#include "cmd/demo_lab.h"

struct traffic;

/* ERR_SYSTEM when a server cannot be started. Ends with traffic_stop, then traffic_free once the loop has
 * run. */
MUST_CHECK enum status traffic_start(struct traffic **out, struct lab *lab, struct error *err);

/* No new talk; what goes on is ended. The servers stay until the children end. */
void traffic_stop(struct traffic *traffic);

void traffic_free(struct traffic *traffic);
