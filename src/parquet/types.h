/* types.h: what Parquet's format calls things, by number. Names as in its parquet.thrift. */
#pragma once

#include "parquet/parquet.h"

enum physical {
	BOOLEAN_VALUES = 0,
	INT32 = 1,
	INT64 = 2,
	FLOAT32 = 4,
	FLOAT64 = 5,
	BYTE_ARRAY = 6,
	FIXED_ARRAY = 7
};

enum encoding { PLAIN = 0, RLE = 3, DELTA_BINARY_PACKED = 5, RLE_DICTIONARY = 8 };

enum { CODEC_ZSTD = 6, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3, OPTIONAL = 1, NO_CONVERTED = -1 };

enum logical { LOGICAL_NONE = 0, LOGICAL_TIMESTAMP = 8, LOGICAL_UUID = 14 };

enum shape {
	SHAPE_BITS,   /* one a value */
	SHAPE_NUMBER, /* whole numbers: with an order and differences */
	SHAPE_RAW,    /* floats, of which only the octets count here */
	SHAPE_FIXED,  /* octets, always as many */
	SHAPE_TEXT,   /* octets behind their length */
};

struct type {
	uint8_t physical;
	uint8_t shape;
	uint8_t memory; /* octets of a value in memory */
	uint8_t octets; /* of a value in the file; 0: it says so itself */
	bool is_signed;
	bool ordered; /* its least and greatest are written down */
	int8_t converted;
	uint8_t logical, unit; /* unit of a timestamp: 1 ms, 2 us, 3 ns */
};

extern const struct type parquet_types[PARQUET_TYPE_COUNT];
