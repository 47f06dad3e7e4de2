#include "parquet/types.h"

const struct type parquet_types[PARQUET_TYPE_COUNT] = {
	[PARQUET_BOOLEAN] = {BOOLEAN_VALUES, SHAPE_BITS, 1, 0, false, false, NO_CONVERTED, 0, 0},
	[PARQUET_UNSIGNED8] = {INT32, SHAPE_NUMBER, 1, 4, false, true, 11, 0, 0},
	[PARQUET_UNSIGNED16] = {INT32, SHAPE_NUMBER, 2, 4, false, true, 12, 0, 0},
	[PARQUET_UNSIGNED32] = {INT32, SHAPE_NUMBER, 4, 4, false, true, 13, 0, 0},
	[PARQUET_UNSIGNED64] = {INT64, SHAPE_NUMBER, 8, 8, false, true, 14, 0, 0},
	[PARQUET_SIGNED8] = {INT32, SHAPE_NUMBER, 1, 4, true, true, 15, 0, 0},
	[PARQUET_SIGNED16] = {INT32, SHAPE_NUMBER, 2, 4, true, true, 16, 0, 0},
	[PARQUET_SIGNED32] = {INT32, SHAPE_NUMBER, 4, 4, true, true, 17, 0, 0},
	[PARQUET_SIGNED64] = {INT64, SHAPE_NUMBER, 8, 8, true, true, 18, 0, 0},
	[PARQUET_FLOAT] = {FLOAT32, SHAPE_RAW, 4, 4, false, false, NO_CONVERTED, 0, 0},
	[PARQUET_DOUBLE] = {FLOAT64, SHAPE_RAW, 8, 8, false, false, NO_CONVERTED, 0, 0},
	[PARQUET_TIME_MS] = {INT64, SHAPE_NUMBER, 8, 8, true, true, 9, LOGICAL_TIMESTAMP, 1},
	[PARQUET_TIME_US] = {INT64, SHAPE_NUMBER, 8, 8, true, true, 10, LOGICAL_TIMESTAMP, 2},
	[PARQUET_TIME_NS] = {INT64, SHAPE_NUMBER, 8, 8, true, true, NO_CONVERTED, LOGICAL_TIMESTAMP, 3},
	[PARQUET_INSTANT_US] = {INT64, SHAPE_NUMBER, 8, 8, true, true, 10, 0, 0}, /* the old way to say UTC */
	[PARQUET_UUID] = {FIXED_ARRAY, SHAPE_FIXED, 16, 16, false, true, NO_CONVERTED, LOGICAL_UUID, 0},
	[PARQUET_TEXT] = {BYTE_ARRAY, SHAPE_TEXT, sizeof(union parquet_text), 0, false, true, 0, 0, 0},
	[PARQUET_OCTETS] = {BYTE_ARRAY, SHAPE_TEXT, sizeof(union parquet_text), 0, false, false, NO_CONVERTED,
			    0, 0},
	[PARQUET_NOTHING] = {BYTE_ARRAY, SHAPE_TEXT, 0, 0, false, false, 0, 0, 0},
};
