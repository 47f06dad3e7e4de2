/* worker.h: the processes that answer questions of the page: each reads the store and writes nowhere
 * (sandbox.h), has its engine warm before the question comes, answers one, and ends. So nothing of one
 * question is there at the next, and a question that nobody waits for any more ends with its process.
 *
 * A question (question.h) comes as one packet over `requests`, with the descriptor that its answer goes to.
 * The answer is frames: 4 octets length in network order, and so many octets; the first frame is the head,
 * "STATUS CONTENT-TYPE[\tFILE]"; a frame of length 0 says that the answer is whole. */
#pragma once

#include <stdint.h>

enum { WORKER_SECONDS = 60, WORKER_EXPORT_SECONDS = 3600, FRAME_MAX = 64 << 10 };

struct worker_options {
	const char *store;
	int requests;             /* AF_UNIX, SOCK_SEQPACKET */
	void (*taken)(void *arg); /* a question has come: this worker is busy until it ends */
	void *arg;
};

/* In a process of its own, with one thread. It ends. */
_Noreturn void worker_run(const struct worker_options *options);
