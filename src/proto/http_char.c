#include "proto/http_char.h"

enum {
	TARGET = HTTP_CHAR_TARGET,
	TOKEN = HTTP_CHAR_TARGET | HTTP_CHAR_TOKEN,
	HOST = HTTP_CHAR_TARGET | HTTP_CHAR_HOST,
	BOTH = TOKEN | HOST,
	HEX = BOTH | HTTP_CHAR_HEX,
};

const uint8_t http_char_table[256] = {
	['!'] = BOTH,         ['"'] = TARGET,      ['#'] = HTTP_CHAR_TOKEN,
	['$'] = BOTH,         ['%'] = BOTH,        ['&'] = BOTH,
	['\''] = BOTH,        ['('] = HOST,        [')'] = HOST,
	['*'] = BOTH,         ['+'] = BOTH,        [','] = HOST,
	['-'] = BOTH,         ['.'] = BOTH,        ['/'] = TARGET,
	['0' ... '9'] = HEX,  [':'] = HOST,        [';'] = HOST,
	['<'] = TARGET,       ['='] = HOST,        ['>'] = TARGET,
	['?'] = TARGET,       ['@'] = TARGET,      ['A' ... 'F'] = HEX,
	['G' ... 'Z'] = BOTH, ['['] = HOST,        ['\\'] = TARGET,
	[']'] = HOST,         ['^'] = TOKEN,       ['_'] = BOTH,
	['`'] = TOKEN,        ['a' ... 'f'] = HEX, ['g' ... 'z'] = BOTH,
	['{'] = TARGET,       ['|'] = TOKEN,       ['}'] = TARGET,
	['~'] = BOTH,
};
