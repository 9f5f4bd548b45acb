/*
 * Calls that are easy to get wrong become compile errors. Included by every .c file
 * through the compiler's command line (-include base/banned.h), after the system headers
 * it names.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef NDEBUG
#error "broken invariants are caught in released programs too: build without NDEBUG"
#endif

#define BANNED(call) use_of_##call##_is_banned

#undef strcpy
#define strcpy(a, b) BANNED(strcpy)
#undef strcat
#define strcat(a, b) BANNED(strcat)
#undef strncpy
#define strncpy(a, b, c) BANNED(strncpy)
#undef strncat
#define strncat(a, b, c) BANNED(strncat)
#undef strtok
#define strtok(a, b) BANNED(strtok)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef gets
#define gets(a) BANNED(gets)
#undef atoi
#define atoi(a) BANNED(atoi)
#undef atol
#define atol(a) BANNED(atol)
#undef atoll
#define atoll(a) BANNED(atoll)
#undef alloca
#define alloca(a) BANNED(alloca)
#undef tmpnam
#define tmpnam(a) BANNED(tmpnam)
#undef mktemp
#define mktemp(a) BANNED(mktemp)
