#include "daemon/device.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DOMAIN_TRIES = 256 };

/* An abstract socket address is a lock that the kernel lets go with the process, whatever ends it. */
uint32_t domain_claim(int *hold)
{
	*hold = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (*hold < 0)
		return 1;
	for (uint32_t domain = 1; domain <= DOMAIN_TRIES; domain++) {
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		const int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
					    "weir/observation-domain/%u", domain);

		if (bind(*hold, (struct sockaddr *)&address,
			 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) == 0)
			return domain;
	}
	close(*hold);
	*hold = -1;
	return 1;
}
