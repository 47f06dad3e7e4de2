#include "transport/sctp_auth.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/sctp.h>
#include <linux/sock_diag.h>

#include <openssl/crypto.h>

enum {
	CHUNK_DATA = 0,
	CHUNK_FORWARD_TSN = 192,
	CHUNK_TYPES = 256,
};

static bool set(int fd, int option, const void *value, socklen_t length)
{
	return setsockopt(fd, IPPROTO_SCTP, option, value, length) == 0;
}

static bool want_chunk(int fd, uint8_t type)
{
	const struct sctp_authchunk chunk = {.sauth_chunk = type};

	return set(fd, SCTP_AUTH_CHUNK, &chunk, sizeof chunk);
}

bool sctp_auth_prepare(int fd)
{
	const struct sctp_assoc_value on = {.assoc_id = SCTP_FUTURE_ASSOC, .assoc_value = 1};
	union {
		struct sctp_hmacalgo list;
		uint8_t octets[sizeof(struct sctp_hmacalgo) + 2 * sizeof(uint16_t)];
	} hashes = {.list = {.shmac_num_idents = 2}};
	const uint16_t idents[] = {SCTP_AUTH_HMAC_ID_SHA256, SCTP_AUTH_HMAC_ID_SHA1};

	memcpy(hashes.octets + offsetof(struct sctp_hmacalgo, shmac_idents), idents, sizeof idents);
	if (!set(fd, SCTP_AUTH_SUPPORTED, &on, sizeof on))
		return false;
	set(fd, SCTP_HMAC_IDENT, &hashes, offsetof(struct sctp_hmacalgo, shmac_idents) + sizeof idents);
	return want_chunk(fd, CHUNK_DATA) && want_chunk(fd, CHUNK_FORWARD_TSN);
}

bool sctp_auth_is_mutual(int fd)
{
	union {
		struct sctp_authchunks list;
		uint8_t octets[sizeof(struct sctp_authchunks) + CHUNK_TYPES];
	} chunks = {.list = {.gauth_assoc_id = SCTP_FUTURE_ASSOC}};
	socklen_t length = sizeof chunks;

	if (getsockopt(fd, IPPROTO_SCTP, SCTP_PEER_AUTH_CHUNKS, &chunks, &length) < 0)
		return false;
	const uint8_t *types = chunks.octets + offsetof(struct sctp_authchunks, gauth_chunks);
	for (uint32_t i = 0; i < chunks.list.gauth_number_of_chunks && i < CHUNK_TYPES; i++) {
		if (types[i] == CHUNK_DATA)
			return true;
	}
	return false;
}

bool sctp_auth_add_key(int fd, uint16_t number, const uint8_t key[SCTP_KEY_OCTETS])
{
	union {
		struct sctp_authkey key;
		uint8_t octets[sizeof(struct sctp_authkey) + SCTP_KEY_OCTETS];
	} add = {.key = {.sca_keynumber = number, .sca_keylength = SCTP_KEY_OCTETS}};

	memcpy(add.octets + offsetof(struct sctp_authkey, sca_key), key, SCTP_KEY_OCTETS);
	const bool good = set(fd, SCTP_AUTH_KEY, &add, sizeof add);
	OPENSSL_cleanse(&add, sizeof add);
	return good;
}

bool sctp_auth_use_key(int fd, uint16_t number)
{
	const struct sctp_authkeyid id = {.scact_keynumber = number};

	return set(fd, SCTP_AUTH_ACTIVE_KEY, &id, sizeof id);
}

bool sctp_auth_drop_key(int fd, uint16_t number)
{
	const struct sctp_authkeyid id = {.scact_keynumber = number};

	return set(fd, SCTP_AUTH_DELETE_KEY, &id, sizeof id);
}

bool sctp_set_least_timeout(int fd, uint32_t ms)
{
	const struct sctp_rtoinfo times = {.srto_assoc_id = SCTP_FUTURE_ASSOC, .srto_min = ms};

	return set(fd, SCTP_RTOINFO, &times, sizeof times);
}

bool sctp_want_dry_event(int fd)
{
	const struct sctp_event event = {
		.se_assoc_id = SCTP_FUTURE_ASSOC, .se_type = SCTP_SENDER_DRY_EVENT, .se_on = 1};

	return set(fd, SCTP_EVENT, &event, sizeof event);
}

bool sctp_is_dry(int fd)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof memory;

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0 &&
	       memory[SK_MEMINFO_WMEM_QUEUED] == 0;
}
