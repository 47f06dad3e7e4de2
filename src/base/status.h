/* status.h: what a function that can fail answers.
 *
 * An enum to decide, a text to read (error.h). Packet and message paths return the enum alone and count
 * it; start-up and control paths also fill a struct error. */
#pragma once

enum status {
	OK = 0,
	END,             /* nothing more to read: a good end */
	AGAIN,           /* not now; poll and try later */
	ERR_FORMAT,      /* the octets are not what the standard allows */
	ERR_LIMIT,       /* a stated bound would be passed */
	ERR_MEMORY,      /* allocation failed */
	ERR_SYSTEM,      /* a system call failed; errno was put into the text */
	ERR_PERMISSION,  /* a right is missing */
	ERR_UNSUPPORTED, /* understood, but this build or kernel cannot do it */
	ERR_USAGE,       /* the user asked for something that makes no sense */
};

#define MUST_CHECK          __attribute__((warn_unused_result))

#define likely(condition)   __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
