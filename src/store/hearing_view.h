/* hearing_view.h: the SQL views `exporters` and `gaps` over what hearing.h knows.
 *
 *   exporters   exporterAddress, observationDomainId, firstTime, lastTime (TIMESTAMP, Export Time),
 *               patience (seconds of silence after which it is missed; 0: it does not tell of itself)
 *   gaps        exporterAddress, observationDomainId, kind ('lost', 'unheard'), fromTime, toTime, records */
#pragma once

#include <duckdb.h>

#include "store/hearing.h"

MUST_CHECK enum status hearing_view(const struct hearing *hearing, duckdb_connection connection,
				    struct error *err);
