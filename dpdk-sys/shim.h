/* What bindgen sees of DPDK: the headers, and what cannot be bound as it stands. No opinions here.
 *
 * Macros with casts become constants, thread-local macros become functions, and structures whose field names
 * moved between 22.11 and later releases are read by offset (struct rte_mbuf) or by a getter (struct rte_eth_link).
 */
#include <stddef.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_hash.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mempool.h>
#include <rte_pdump.h>
#include <rte_version.h>

#define MBUF_FIELD(field, size)                                                                                       \
	_Static_assert(sizeof(((struct rte_mbuf *)0)->field) == (size), "rte_mbuf." #field " has another size here")

MBUF_FIELD(buf_addr, 8);
MBUF_FIELD(data_off, 2);
MBUF_FIELD(nb_segs, 2);
MBUF_FIELD(ol_flags, 8);
MBUF_FIELD(pkt_len, 4);
MBUF_FIELD(data_len, 2);
MBUF_FIELD(buf_len, 2);

/* Offsets in octets from the start of struct rte_mbuf. */
static const size_t DPDK_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr);
static const size_t DPDK_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off);
static const size_t DPDK_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs);
static const size_t DPDK_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags);
static const size_t DPDK_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len);
static const size_t DPDK_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len);
static const size_t DPDK_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len);

static const uint64_t DPDK_RX_IP_CKSUM_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t DPDK_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t DPDK_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;

static const uint64_t DPDK_RX_OFFLOAD_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t DPDK_RX_OFFLOAD_TIMESTAMP = RTE_ETH_RX_OFFLOAD_TIMESTAMP;
static const uint64_t DPDK_TX_OFFLOAD_MBUF_FAST_FREE = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;

static const uint64_t DPDK_RSS_IPV4 = RTE_ETH_RSS_IPV4;
static const uint64_t DPDK_RSS_NONFRAG_IPV4_TCP = RTE_ETH_RSS_NONFRAG_IPV4_TCP;
static const uint64_t DPDK_RSS_NONFRAG_IPV4_UDP = RTE_ETH_RSS_NONFRAG_IPV4_UDP;

static const uint16_t DPDK_PKTMBUF_HEADROOM = RTE_PKTMBUF_HEADROOM;
static const int DPDK_SOCKET_ID_ANY = SOCKET_ID_ANY;

/* The calling thread's error number. */
static inline int dpdk_errno(void)
{
	return rte_errno;
}

/* Speed in Mb/s (UINT32_MAX: unknown) and whether the link is up. */
static inline int dpdk_eth_link_get_nowait(uint16_t port_id, uint32_t *speed, int *up)
{
	struct rte_eth_link link = {0};
	int ret = rte_eth_link_get_nowait(port_id, &link);

	*speed = link.link_speed;
	*up = link.link_status == RTE_ETH_LINK_UP;
	return ret;
}
