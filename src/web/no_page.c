/* A build without npm has no page. */
#include "web/page.h"

const struct page_file page_files[] = {{0}};
