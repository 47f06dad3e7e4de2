#include "store/tail.h"

#ifdef WEIR_JOURNAL
#include "store/journal_source.h"

enum status tail_pull(struct loader *loader, const char *store, bool *cut, struct error *err)
{
	struct input_position positions[INPUT_WORKERS_MAX];
	struct journal_source *journal;
	struct input input;

	*cut = false;
	for (uint32_t i = 0; i < INPUT_WORKERS_MAX; i++)
		positions[i] = loader_position(loader, i);

	enum status s = journal_source_open(&journal, &input, store, positions, false, err);
	if (s != OK)
		return s;
	s = loader_pull(loader, &input, UINT64_MAX, err);
	journal_source_close(journal);
	*cut = s == AGAIN;
	return s == END || s == AGAIN ? OK : s;
}
#else
enum status tail_pull(struct loader *loader, const char *store, bool *cut, struct error *err)
{
	*cut = false;
	return OK;
}
#endif
