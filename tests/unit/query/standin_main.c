/* weir query over the stand-in store: for tests and benches of src/query alone.
 *
 *   query_standin make FOLDER ROWS FILES
 *   query_standin query -s FOLDER … */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/help.h"
#include "standin.h"

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "make") == 0)
		return standin_make(argv[2], strtoull(argv[3], NULL, 10),
				    (unsigned)strtoul(argv[4], NULL, 10));
	if (argc >= 2 && strcmp(argv[1], "query") == 0)
		return command_run(&command_query, argc - 1, argv + 1);
	return 2;
}
