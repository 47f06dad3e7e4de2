/* secure_session.h: a session of TLS or DTLS that stands on a connection whose octets come in order and all
 * (tcp.c, sctp.c), for the transports that are such: Tls and DtlsSctp (RFC 7011 sections 10.2, 10.4 and 11).
 * It moves octets between that connection and OpenSSL through memory, so that only the one below waits and
 * reconnects. There is no way back to plain text.
 *
 * Records go out when both sides have authenticated each other. With TLS 1.3 a client does not hear whether
 * its certificate was taken until the collector says something: its session ticket is waited for, SETTLE_NS
 * at most for collectors that send none.
 *
 * struct secure_session is the first member of the transport's own state, so that what stands here can be its
 * row in struct transport_type as it is. What differs is a const struct secure_kind. */
#pragma once

#include "transport/dial.h"
#include "transport/secure.h"

enum secure_state {
	SECURE_IDLE,
	SECURE_HANDSHAKE,
	SECURE_SETTLING,
	SECURE_UP,
	SECURE_LEFT, /* the collector has ended its side; `ssl` stays for the question */
};

struct secure_session;

struct secure_kind {
	const struct transport_type *type, *below;
	const char *name;    /* "TLS session" */
	bool datagrams;      /* DTLS */
	size_t message_most; /* octets, whatever the connection takes; 0: only that */
	/* close_notify waits until the connection below says that the collector has read all (its last_word),
	 * and messages without sets go through the session until then. Else: before its end. */
	bool ends_below;
	/* A connection is there, and `ssl` with its BIOs. false: no session over this one; `peer.refusal`
	 * says why. NULL: nothing to do. */
	bool (*begin)(struct secure_session *);
	/* OpenSSL went a step of the handshake, or finished it. Else as `begin`. */
	bool (*step)(struct secure_session *);
	/* Hand what OpenSSL wrote to the connection below. false: it takes nothing more now. */
	bool (*push)(struct secure_session *);
};

struct secure_session {
	struct transport transport;
	const struct secure_kind *kind;
	struct transport *next;
	struct secure_context *context;
	struct dial dial; /* for its log alone */
	enum secure_state state;
	uint32_t next_generation; /* that we have seen */
	uint32_t generation;
	int64_t until; /* mono ns */
	SSL *ssl;      /* with both BIOs; NULL when idle */
	BIO *in, *out; /* owned by ssl */
	struct secure_peer peer;
	bool carried;   /* a message, in this session */
	bool finishing; /* the end is ours … */
	bool ended;     /* … and that of the connection below was asked for */
	size_t (*question)(void *, uint8_t *, size_t);
	void *question_arg;
	int64_t patience;         /* ns, of finishing */
	int64_t finish_until;     /* mono ns: for close_notify */
	bool counting;            /* the connection below is the one that `delivery` is about */
	struct delivery delivery; /* of the session that was up last */
	uint64_t lost[8];         /* messages that the connection below gave up and nobody asked for yet */
	uint32_t lost_count;
	uint64_t own_errors;
};

/* Open it, with the connection below. `session` is zeroed and the caller's to free also after an error. */
enum status secure_session_open(struct secure_session *session, const struct secure_kind *kind,
				const struct endpoint *to, const struct transport_options *options,
				struct error *err);

/* What OpenSSL wrote goes down as it is: push of struct secure_kind for a connection of octets. */
bool secure_session_push(struct secure_session *session);

/* Of struct transport_type. */
void secure_session_service(struct transport *transport);
size_t secure_session_message_limit(struct transport *transport);
enum status secure_session_send(struct transport *transport, struct span message, struct error *err);
uint32_t secure_session_generation(const struct transport *transport);
struct delivery secure_session_delivery(struct transport *transport);
enum transport_state secure_session_state(const struct transport *transport);
void secure_session_finish(struct transport *transport, int64_t patience_ns);
int secure_session_poll_fd(const struct transport *transport);
bool secure_session_addresses(const struct transport *transport, struct sockaddr_storage *local,
			      struct sockaddr_storage *remote);
void secure_session_close(struct transport *transport); /* frees `session`, as the start of an allocation */
