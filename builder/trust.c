#include "builder/trust.h"

#include "base/fs.h"

#include <fcntl.h>

static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Alpine, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* Fedora, RHEL */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* what that links to */
    "/etc/ssl/ca-bundle.pem",                            /* SUSE */
    "/etc/ssl/cert.pem",                                 /* OpenSSL's and LibreSSL's own */
};

static const char *const variables[] = {
    "SSL_CERT_FILE",       /* OpenSSL, Go, Ruby, Rust */
    "CURL_CA_BUNDLE",      /* curl */
    "REQUESTS_CA_BUNDLE",  /* Python's requests */
    "PIP_CERT",            /* pip */
    "NODE_EXTRA_CA_CERTS", /* Node.js, npm */
    "GIT_SSL_CAINFO",      /* git */
    "AWS_CA_BUNDLE",       /* AWS command line and SDKs */
    "CARGO_HTTP_CAINFO",   /* cargo */
};

const char *build_trust_bundle_at(size_t index)
{
    return index < ARRAY_COUNT(bundles) ? bundles[index] : NULL;
}

const char *build_trust_variable_at(size_t index)
{
    return index < ARRAY_COUNT(variables) ? variables[index] : NULL;
}

static bool contains(struct view text, struct view part)
{
    return memmem(text.data, text.size, part.data, part.size) != NULL;
}

int build_trust_check(struct view pem, struct error *err)
{
    if (contains(pem, VIEW_LIT("PRIVATE KEY-----")))
        return error_set(err, ERROR_INVALID,
                         "there is a private key in it: give the certificate alone");
    if (!contains(pem, VIEW_LIT("-----BEGIN CERTIFICATE-----")) ||
        !contains(pem, VIEW_LIT("-----END CERTIFICATE-----")))
        return error_set(err, ERROR_INVALID,
                         "no PEM certificate (-----BEGIN CERTIFICATE-----); 'openssl x509 "
                         "-inform der' makes one of a DER file");
    return 0;
}

void build_trust_system(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(bundles); i++) {
        CLEANUP(error_clear) struct error ignored = ERROR_INIT; /* the next one, then */

        if (fs_read_file_at(AT_FDCWD, bundles[i], out, &ignored) == 0)
            return;
        buf_clear(out);
    }
}

void build_trust_join(struct view bundle, struct view ca, struct buf *out)
{
    buf_append_view(out, bundle);
    if (bundle.size > 0 && bundle.data[bundle.size - 1] != '\n')
        buf_append_char(out, '\n');
    buf_append_view(out, ca);
}
