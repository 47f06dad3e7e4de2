#include "observe/share.h"

/* Places of the program. A jump names one of them until its distance is known. */
enum place { NEXT, V4, V6, FOLD, FIRST, DROP, KEEP, PLACES };

enum {
	ETHERNET_HEADER = 14,
	ETHER_TYPE = 12,
	IPV4_HEADER = 20,
	IPV4_ADDRESSES = 12,
	IPV6_HEADER = 40,
	IPV6_ADDRESSES = 8,
	LLC_MOST = 1500
};

struct program {
	struct sock_filter *code;
	uint16_t count;
	uint16_t at[PLACES];
};

static void emit(struct program *p, uint16_t code, uint32_t k)
{
	p->code[p->count++] = (struct sock_filter){.code = code, .k = k};
}

static void jump(struct program *p, uint16_t test, uint32_t k, enum place yes, enum place no)
{
	p->code[p->count++] = (struct sock_filter){
		.code = BPF_JMP | test | BPF_K, .jt = (uint8_t)yes, .jf = (uint8_t)no, .k = k};
}

static void here(struct program *p, enum place place)
{
	p->at[place] = p->count;
}

/* A load beyond the end of a frame would leave it out, so its length is asked for first. */
static void need(struct program *p, uint32_t octets)
{
	emit(p, BPF_LD | BPF_W | BPF_LEN, 0);
	jump(p, BPF_JGE, octets, NEXT, FIRST);
}

static void emit_ethernet(struct program *p)
{
	static const uint16_t walk[] = {0x8100, 0x88a8, 0x9100, 0x9200, 0x9300, 0x8847, 0x8848, 0x8864};

	need(p, ETHERNET_HEADER);
	emit(p, BPF_LD | BPF_H | BPF_ABS, ETHER_TYPE);
	jump(p, BPF_JEQ, 0x0800, V4, NEXT);
	jump(p, BPF_JEQ, 0x86dd, V6, NEXT);
	for (size_t i = 0; i < sizeof walk / sizeof walk[0]; i++)
		jump(p, BPF_JEQ, walk[i], KEEP, NEXT);
	jump(p, BPF_JGT, LLC_MOST, FIRST, KEEP);
}

static void emit_ip(struct program *p)
{
	need(p, 1);
	emit(p, BPF_LD | BPF_B | BPF_ABS, 0);
	emit(p, BPF_ALU | BPF_RSH | BPF_K, 4);
	jump(p, BPF_JEQ, 4, V4, NEXT);
	jump(p, BPF_JEQ, 6, V6, FIRST);
}

/* A: all words of both addresses, one over the other. */
static void emit_fold(struct program *p, uint32_t first, uint32_t words)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, first);
	for (uint32_t i = 1; i < words; i++) {
		emit(p, BPF_MISC | BPF_TAX, 0);
		emit(p, BPF_LD | BPF_W | BPF_ABS, first + 4 * i);
		emit(p, BPF_ALU | BPF_XOR | BPF_X, 0);
	}
}

static void resolve(struct program *p)
{
	p->at[KEEP] = p->count;
	for (uint16_t i = 0; i < p->count; i++) {
		struct sock_filter *f = &p->code[i];

		if (BPF_CLASS(f->code) != BPF_JMP)
			continue;
		f->jt = f->jt == NEXT ? 0 : (uint8_t)(p->at[f->jt] - i - 1);
		f->jf = f->jf == NEXT ? 0 : (uint8_t)(p->at[f->jf] - i - 1);
	}
}

uint16_t share_program(const struct share *share, uint8_t link, struct sock_filter out[SHARE_PROGRAM_MAX])
{
	const uint32_t header = link == LINK_ETHERNET ? ETHERNET_HEADER : 0;
	struct program p = {.code = out};

	if (share->count <= 1)
		return 0;
	if (link == LINK_ETHERNET)
		emit_ethernet(&p);
	else
		emit_ip(&p);
	here(&p, V6);
	need(&p, header + IPV6_HEADER);
	emit_fold(&p, header + IPV6_ADDRESSES, 8);
	jump(&p, BPF_JGE, 0, FOLD, FOLD);
	here(&p, V4);
	need(&p, header + IPV4_HEADER);
	emit_fold(&p, header + IPV4_ADDRESSES, 2);
	here(&p, FOLD);
	emit(&p, BPF_ALU | BPF_MUL | BPF_K, share->factor);
	emit(&p, BPF_ALU | BPF_RSH | BPF_K, 16);
	emit(&p, BPF_ALU | BPF_MUL | BPF_K, share->count);
	emit(&p, BPF_ALU | BPF_RSH | BPF_K, 16);
	jump(&p, BPF_JEQ, share->number, KEEP, DROP);
	here(&p, FIRST); /* there is nothing of a flow in it, as far as we can see */
	if (share->number == 0)
		jump(&p, BPF_JGE, 0, KEEP, KEEP);
	here(&p, DROP);
	emit(&p, BPF_RET | BPF_K, 0);
	resolve(&p);
	return p.count;
}
