#include "observe/text.h"

#include <string.h>

/* Octets of the well-formed UTF-8 character at `s`, 0 when there is none. Overlong forms, surrogates and
 * control characters are none: a name ends up in logs, JSON and records. */
static size_t character_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] < 0xc2 || s[0] > 0xf4 || (s[1] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xe0)
		return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : 2;
	if ((s[2] & 0xc0) != 0x80)
		return 0;
	if (s[0] < 0xf0)
		return (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ? 0 : 3;
	if ((s[3] & 0xc0) != 0x80 || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return 4;
}

void copy_clean(char *out, size_t size, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t used = 0;

	while (*s) {
		const size_t n = character_length(s);
		if (used + (n ? n : 1) >= size)
			break;
		if (n)
			memcpy(out + used, s, n);
		else
			out[used] = '?';
		used += n ? n : 1;
		s += n ? n : 1;
	}
	memset(out + used, 0, size - used);
}
