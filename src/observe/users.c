#include "observe/users.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/time.h"

#define AGAIN_NS (10 * NS_PER_S)

struct user {
	uint32_t number;
	char name[USER_NAME_MAX];
};

struct users {
	struct mono_ns read;
	uint32_t count;
	struct user user[USERS_MAX];
};

/* Not by getpwuid(3), which may ask a directory over the network. */
static void read_all(struct users *u)
{
	auto_file file = fopen("/etc/passwd", "re");
	char line[4096];
	struct passwd one, *found;

	u->read = mono_now();
	u->count = 0;
	while (file && u->count < USERS_MAX && fgetpwent_r(file, &one, line, sizeof line, &found) == 0) {
		struct user *to = &u->user[u->count++];

		to->number = one.pw_uid;
		snprintf(to->name, sizeof to->name, "%s", one.pw_name);
	}
}

struct users *users_new(void)
{
	struct users *u = calloc(1, sizeof *u);

	if (u)
		read_all(u);
	return u;
}

void users_free(struct users *u)
{
	free(u);
}

static const struct user *find(const struct users *u, uint32_t number)
{
	for (uint32_t i = 0; i < u->count; i++)
		if (u->user[i].number == number)
			return &u->user[i];
	return NULL;
}

void users_name(struct users *u, uint32_t number, char out[static USER_NAME_MAX])
{
	const struct user *user = find(u, number);

	if (!user && mono_now().ns - u->read.ns >= AGAIN_NS) {
		read_all(u);
		user = find(u, number);
	}
	if (user)
		snprintf(out, USER_NAME_MAX, "%s", user->name);
	else
		snprintf(out, USER_NAME_MAX, "%" PRIu32, number);
}
