/* settings.h: what a profile and the command line resolve to: typed, complete, with every default filled in.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "export/exporter.h"
#include "meter/meter.h"

enum { SETTINGS_POINTS_MAX = 64 };

/* How live interfaces are observed. */
enum capture { CAPTURE_RING, CAPTURE_EBPF, CAPTURE_AUTO };

/* An observation point that is named. */
struct point_settings {
	char name[POINT_NAME_MAX];
	uint32_t domain; /* 0: that of the exporter */
	bool own;        /* has a chain of its own, perhaps an empty one; else that of all */
	struct selector_chain selection;
};

struct settings {
	bool enabled;
	struct meter_options meter; /* hash_key is filled by whoever makes the meter */
	struct exporter_options exporter;
	uint32_t point_count; /* 0: every overlay interface that is up */
	char point[SETTINGS_POINTS_MAX][POINT_NAME_MAX];
	struct point_settings of_point[SETTINGS_POINTS_MAX]; /* what is said of them besides; by name */
	uint32_t of_point_count;
	struct point_settings one_point;    /* while one is read */
	uint32_t shards;                    /* meters side by side; 0: one for each processor */
	bool shed;                          /* Overload: frames are left out, before the kernel drops them */
	bool biflows, totals, microseconds; /* forms of records … */
	bool field_ttl, field_mac, field_vlan, field_process; /* … and fields besides */
	struct selector_chain selection; /* of packets, at points without a chain of their own */
	uint32_t nflog_count;            /* 0: refused frames are not told of */
	uint16_t nflog_group[NFLOG_GROUPS_MAX];
	bool trace_rules, drop_reasons, peer_check;
	struct denial_prefixes prefixes; /* none: the usual ones */
	uint32_t max_denied;             /* for meter.max_denied, once there is a source */
	enum capture capture;
	uint32_t ring_octets, snap_octets; /* packet sources; 0 = their default */
	bool warn_interval;                /* Interval is neither 0 nor a multiple of 60000: say so */
};

/* Every default, as `weir check` of an empty FlowMetadata object shows. */
void settings_init(struct settings *settings);

/* Octets a profile may have; larger files are refused. */
enum { PROFILE_OCTETS_MAX = 1 << 20 };

#define PROFILE_DEFAULT_PATH "/etc/weir/weir.json"

/* Read a profile file over `settings`; "-" is standard input. ERR_SYSTEM or ERR_PERMISSION (cannot read),
 * ERR_LIMIT (too large), ERR_USAGE with a text "FILE:LINE:COLUMN: what was seen; what was expected; hint".
 * After an error the settings are half changed. */
MUST_CHECK enum status settings_load(struct settings *settings, const char *path, struct error *err);

/* The same over text in memory; `name` stands for the file in messages. */
MUST_CHECK enum status settings_parse(struct settings *settings, const char *name, const char *text,
				      size_t length, struct error *err);

/* Set one property that is a number or a word from text, as a command-line option does: `name` as in the
 * profile. ERR_USAGE says what was seen and what is allowed. */
MUST_CHECK enum status settings_set(struct settings *settings, const char *name, const char *text,
				    struct error *err);

/* Print what it resolves to, one property a line, with what a default means in words (`weir check`). */
void settings_print(const struct settings *settings, FILE *out);
