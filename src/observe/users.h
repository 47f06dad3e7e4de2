/* users.h: names of users, as this system's /etc/passwd has them. One thread. */
#pragma once

#include <stdint.h>

enum { USER_NAME_MAX = 32, USERS_MAX = 4096 };

struct users;

/* NULL: no memory. A file that cannot be read has no users in it. */
struct users *users_new(void);
void users_free(struct users *users);

/* The name, or the number as text when it has none. Whom it does not know it looks for in the file again, at
 * most every ten seconds. */
void users_name(struct users *users, uint32_t user, char out[static USER_NAME_MAX]);
