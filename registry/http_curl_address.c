#include "registry/http_curl_address.h"

#include "base/macros.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static bool is_private_four(uint32_t address)
{
    static const struct {
        uint32_t net;
        unsigned bits;
    } nets[] = {
        {0x00000000, 8},  /* 0.0.0.0/8 */
        {0x0a000000, 8},  /* 10.0.0.0/8 */
        {0x64400000, 10}, /* 100.64.0.0/10 */
        {0x7f000000, 8},  /* 127.0.0.0/8 */
        {0xa9fe0000, 16}, /* 169.254.0.0/16 */
        {0xac100000, 12}, /* 172.16.0.0/12 */
        {0xc0a80000, 16}, /* 192.168.0.0/16 */
    };

    for (size_t i = 0; i < ARRAY_COUNT(nets); i++)
        if ((address ^ nets[i].net) >> (32 - nets[i].bits) == 0)
            return true;
    return false;
}

static bool is_private_six(const struct in6_addr *address)
{
    uint32_t four;

    if (IN6_IS_ADDR_V4MAPPED(address)) {
        memcpy(&four, address->s6_addr + 12, sizeof four);
        return is_private_four(ntohl(four));
    }
    return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LOOPBACK(address) ||
           IN6_IS_ADDR_LINKLOCAL(address) || (address->s6_addr[0] & 0xfe) == 0xfc;
}

bool http_address_is_private(const struct sockaddr *address)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (address->sa_family == AF_INET) {
        memcpy(&four, address, sizeof four);
        return is_private_four(ntohl(four.sin_addr.s_addr));
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&six, address, sizeof six);
    return is_private_six(&six.sin6_addr);
}

bool http_address_is_public(const char *text)
{
    struct in_addr four;
    struct in6_addr six;

    if (inet_pton(AF_INET, text, &four) == 1)
        return !is_private_four(ntohl(four.s_addr));
    return inet_pton(AF_INET6, text, &six) == 1 && !is_private_six(&six);
}
