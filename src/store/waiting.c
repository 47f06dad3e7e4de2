#include "store/waiting.h"

#include <stdlib.h>

struct waiting_limits waiting_limits_default(void)
{
	return (struct waiting_limits){
		.sets = 8192, .octets = 16 << 20, .share = 4, .patience_ms = 10 * 60 * 1000};
}

void waiting_init(struct waiting *w, const struct waiting_limits *limits)
{
	*w = (struct waiting){.limits = *limits};
	w->last = &w->first;
}

/* Take *at out of the list and free it. */
static void take_out(struct waiting *w, struct waiting_set **at)
{
	struct waiting_set *set = *at;

	*at = set->next;
	if (!*at)
		w->last = at;
	w->sets--;
	w->octets -= set->length;
	set->peer->waiting.sets--;
	set->peer->waiting.octets -= set->length;
	w->changed = true;
	free(set);
}

void waiting_fini(struct waiting *w)
{
	while (w->first)
		take_out(w, &w->first);
}

void waiting_put(struct waiting *w, struct peer *peer, const struct message_header *header,
		 const struct set *set, int64_t received_ms)
{
	const struct waiting_limits *l = &w->limits;
	const size_t length = set->records.length;
	struct waiting_set *new = NULL;

	if (length && w->sets < l->sets && w->octets + length <= l->octets &&
	    peer->waiting.sets < l->sets / l->share && peer->waiting.octets + length <= l->octets / l->share)
		new = malloc(sizeof *new + length);
	if (!new) {
		peer->waiting.no_room++;
		return;
	}
	*new = (struct waiting_set){.peer = peer,
				    .header = *header,
				    .received_ms = received_ms,
				    .set_id = set->id,
				    .length = (uint32_t)length};
	memcpy(new->octets, set->records.data, length);
	*w->last = new;
	w->last = &new->next;
	w->sets++;
	w->octets += length;
	peer->waiting.sets++;
	peer->waiting.octets += length;
	w->changed = true;
}

void waiting_retry(struct waiting *w, struct peer *peer, waiting_try *try, void *arg)
{
	for (struct waiting_set **at = &w->first; *at && peer->waiting.sets;) {
		enum status s;

		if ((*at)->peer != peer || (s = try(arg, *at)) == AGAIN) {
			at = &(*at)->next;
			continue;
		}
		if (s == OK)
			peer->waiting.decoded++;
		else
			peer->waiting.cut++;
		take_out(w, at);
	}
}

void waiting_expire(struct waiting *w, int64_t before_ms)
{
	while (w->first && w->first->received_ms < before_ms) {
		w->first->peer->waiting.given_up++;
		take_out(w, &w->first);
	}
}

void waiting_drop(struct waiting *w, struct peer *peer)
{
	for (struct waiting_set **at = &w->first; *at && peer->waiting.sets;) {
		if ((*at)->peer == peer) {
			peer->waiting.given_up++;
			take_out(w, at);
		} else {
			at = &(*at)->next;
		}
	}
}
