/*
 * Every maximum that bounds what comes from outside, each with its reason.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* OCI distribution-spec: registries accept at least 4 MiB; nobody sends more. */
#define LIMIT_MANIFEST_SIZE ((size_t)4 << 20)
/* Records of a remote cache: some 700 bytes a step, so tens of thousands of steps. */
#define LIMIT_CACHE_SIZE ((size_t)32 << 20)
/* Image configs carry history and labels; 8 MiB is far past any real one. */
#define LIMIT_CONFIG_SIZE ((size_t)8 << 20)
/* BuildKit reads Dockerfiles of up to 16 MiB by its gRPC limit. A tree may take 40 times
 * the memory of its text. */
#define LIMIT_DOCKERFILE_SIZE ((size_t)16 << 20)
/* A tree printed as JSON is made in memory first, at up to 500 times the text's size; the
 * longest Dockerfiles that people write are a tenth of this. */
#define LIMIT_DOCKERFILE_PRINTED ((size_t)1 << 20)
#define LIMIT_DOCKERIGNORE_SIZE  ((size_t)16 << 20)
/* Instructions of one file: each takes some 700 bytes; people write hundreds. */
#define LIMIT_DOCKERFILE_INSTRUCTIONS ((size_t)250000)
/* Stages of one build: the planner follows them by recursion; people write tens. */
#define LIMIT_BUILD_STAGES ((size_t)5000)
/* Variables of one stage: a step's whole environment has to fit into 2 MiB. */
#define LIMIT_BUILD_VARIABLES ((size_t)4096)
/* Heredocs of one instruction: people write one or two. */
#define LIMIT_DOCKERFILE_HEREDOCS ((size_t)1000)
/* One pattern of it: BuildKit refuses longer lines. */
#define LIMIT_PATTERN_SIZE ((size_t)64 << 10)
/* ${a:-${b:-...}}: open at once in one word. Each costs memory, none C stack. */
#define LIMIT_DOCKERFILE_NESTING ((size_t)100000)
/* Steps of matching patterns and bytes of replacements in one expansion: replacements
 * within replacements multiply, ten levels would fill any memory. */
#define LIMIT_DOCKERFILE_EXPANSION ((size_t)16 << 20)
/* Linux: a path handed to the kernel; a name in a directory. */
#define LIMIT_PATH_SIZE ((size_t)4096)
#define LIMIT_NAME_SIZE ((size_t)255)
/* Symlinks followed in one lookup, as the kernel's MAXSYMLINKS. */
#define LIMIT_SYMLINKS 40
/* A tar header extension (PAX, GNU long name) of one entry. */
#define LIMIT_TAR_EXTENSION ((size_t)1 << 20)
/* Linux: XATTR_SIZE_MAX for one value, XATTR_LIST_MAX for the names of one file. */
#define LIMIT_XATTR_SIZE ((size_t)65536)
/* Entries of one layer: the index addresses them with 32 bits; real ones stay below 2 M. */
#define LIMIT_LAYER_ENTRIES ((uint64_t)16 << 20)
/* Unpacked bytes of one layer: a bomb would fill the disk first. */
#define LIMIT_LAYER_SIZE ((uint64_t)1 << 40)
/* A file that ADD fetches by its URL, or an archive that a context is made of: model files
 * and disk images have tens of gigabytes. */
#define LIMIT_FETCH_SIZE ((uint64_t)256 << 30)
/* Unpacked bytes of a context that comes as an archive: far past any real one, and a bomb
 * ends before it fills most disks. */
#define LIMIT_CONTEXT_SIZE ((uint64_t)64 << 30)
/* Its entries are held in memory, some 300 bytes each. */
#define LIMIT_CONTEXT_ENTRIES ((uint64_t)2 << 20)
/* Differences of two images: each takes some 200 bytes, and nobody reads a million. */
#define LIMIT_COMPARE_FILES ((size_t)4 << 20)
/* The databases of package managers: one of 100,000 dpkg packages has some 100 MB. */
#define LIMIT_PACKAGES_SIZE ((size_t)256 << 20)
/* That of rpm, with the lists of all files. */
#define LIMIT_RPMDB_SIZE ((uint64_t)2 << 30)
/* Packages of one image; real ones stay below 10,000. */
#define LIMIT_PACKAGES ((size_t)1 << 20)
/* Holes of a layer's sparse files: they are hashed at some 2 GB a second, for the asking.
 */
#define LIMIT_LAYER_HOLES ((uint64_t)64 << 30)
/* Indexes within indexes: allowed by the specification, two in practice. */
#define LIMIT_INDEX_DEPTH 4
/* Entries of one index: tens of platforms, attestations double that. */
#define LIMIT_INDEX_ENTRIES ((size_t)4096)
/* Layers that a cache's manifest names: some 250 bytes each of its 4 MiB; an index of them
 * has one entry more, the config. */
#define LIMIT_CACHE_LAYERS (LIMIT_INDEX_ENTRIES - 1)
/* Layers of one image: overlayfs mounts at most 500. */
#define LIMIT_LAYERS 500
/* JSON nesting: deeper documents are hostile. */
#define LIMIT_JSON_DEPTH 64
/* A secret file: BuildKit's limit is 500 KiB. */
#define LIMIT_SECRET_SIZE ((size_t)500 << 10)
/* passwd and group files that are looked into for names. */
#define LIMIT_PASSWD_SIZE ((size_t)8 << 20)
/* Owners of symlinks that are recorded beside an unpacked layer: a million of them. */
#define LIMIT_OWNERS_SIZE ((size_t)64 << 20)
/* A message, path list or other text that we build ourselves. */
#define LIMIT_TEXT_SIZE ((size_t)16 << 20)
/* HTTP: one header line, all headers, a token or error body. */
#define LIMIT_HTTP_HEADER     ((size_t)64 << 10)
#define LIMIT_HTTP_BODY_SMALL ((size_t)1 << 20)
/* Lookups that race with renames elsewhere give up after this many tries. */
#define FS_RACE_RETRIES 64u
