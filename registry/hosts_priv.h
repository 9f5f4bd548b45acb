/*
 * The rules behind registry/hosts.h, and those who fill them in from files.
 */
#pragma once

#include "registry/hosts.h"

enum hosts_only { HOSTS_ALL, HOSTS_ONLY_DIGEST, HOSTS_ONLY_TAG };

/* HOST[:PORT][/PATH], and how to speak to it. */
struct hosts_place {
    char *location; /* NULL, of a rule: as its prefix */
    bool is_insecure;
    char *ca_file;
    char *cert_file;
    char *key_file;
    enum hosts_only only; /* of a mirror */
};

struct hosts_rule {
    char *prefix; /* HOST[:PORT][/PATH], "*.DOMAIN" */
    bool is_blocked;
    bool mirrors_by_digest_only;
    struct hosts_place place;
    struct hosts_place *mirrors;
    size_t mirror_count;
};

struct hosts_rules {
    struct hosts_rule *items;
    size_t count;
    size_t capacity;
};

void hosts_rules_release(struct hosts_rules *r);
/* All the new ones are empty; valid until the next. */
struct hosts_rule *hosts_rules_add(struct hosts_rules *r);
struct hosts_place *hosts_rule_add_mirror(struct hosts_rule *rule);
/* ERROR_INVALID if prefixes or locations are not what they should be. Fills in a missing
 * prefix from the location. */
MUST_CHECK int hosts_rule_check(struct hosts_rule *rule, struct error *err);

/* Where files are. */
struct hosts_dirs {
    char *etc;
    char *config; /* the user's ~/.config, or NULL */
    struct doc *(*parse_yaml)(struct view text, struct error *err); /* or NULL */
};
/* All files, those that count more first. Errors name the file. */
MUST_CHECK int hosts_read_all(const struct hosts_dirs *dirs,
                              struct hosts_rules *rules,
                              struct error *err);

/* Each appends the rules of one file's text. Errors do not name the file. */
MUST_CHECK int hosts_read_containers(struct hosts_rules *r,
                                     struct view text,
                                     struct error *err);
MUST_CHECK int hosts_read_docker(struct hosts_rules *r,
                                 struct view text,
                                 struct error *err);
MUST_CHECK int hosts_read_own(struct hosts_rules *r,
                              const struct doc *config,
                              struct error *err);

/* What a certs.d directory has for a host; texts malloc'ed. `ca_fd` holds authorities that
 * came in several files, or is -1. */
struct hosts_certs {
    char *ca_file;
    char *cert_file;
    char *key_file;
    int ca_fd;
};
/* True if there is something. */
bool hosts_certs_find(const char *dir, struct view host, struct hosts_certs *out);
