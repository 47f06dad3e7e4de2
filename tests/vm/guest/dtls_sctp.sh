# Records over DTLS over SCTP, undisturbed and with the collector killed (associations.sh): every chunk of data is
# authenticated, and records only under the key of the handshake (RFC 6083 4.5, 4.8). Who shows a certificate that the
# other side does not take is refused, and the log says why.
. /test/lib.sh
scheme=DtlsSctp
certificates=/certificates
collector_words="--tls-certificate $certificates/collector.pem --tls-key $certificates/collector.key --tls-ca $certificates/ca.pem"
tls() { # NAME CA [MORE]: what the probe shows, and whom it trusts
	echo ", \"Tls\": {\"Certificate\": \"$certificates/$1.pem\", \"Key\": \"$certificates/$1.key\", \"Ca\": \"$certificates/$2.pem\"$3}"
}
profile_words=$(tls probe ca)
up=DTLSv1.2
few=3000
. /test/associations.sh

# Linux drops authenticated packets that come to it as one super-packet, which only links inside a machine hand over.
for ns in a b; do
	in_ns $ns ip link set v$ns gso_max_size 1500
done

refused() { # WHO FILE TEXT
	prepare
	: >/tmp/collect.log
	start_export "$3" "$2"
	wait $probe
	cat /tmp/probe.stats
	equal "records, when $1 is refused" 0 "$(counted flowRecords)"
	equal "not sent" "$records" "$(counted notSentFlows)"
}

prepare
start_watch
undisturbed
stop_watch
note "timeouts $(sctp_counter SctpT3RtxExpireds), chunks fast sent again $(sctp_counter SctpFastRetransmits)"
at_least "chunks of data" 10 "$(watched data)"
equal "packets that were not seen" 0 "$(watched 'packets unseen')"
equal "data without authentication" 0 "$(watched 'data not authenticated')"
at_least "data under the key of the handshake" 10 "$(watched 'data under a later key')"
equal "records under the key before it" 0 "$(watched 'records under the first key')"
equal "data unordered" 0 "$(watched 'data unordered')"
equal "data on other streams" 0 "$(watched 'data on other streams')"
[ "$kills" = 0 ] || with_kills

records=50
rm -rf /tmp/store
must "the collector starts" start_collector
profile_words=$(tls strange ca)
refused "a probe of another authority" /tmp/collect.log "its certificate.*is refused"
profile_words=$(tls probe ca ', "ServerName": "other.example"')
refused "a collector of another name" /tmp/probe.stats 'it is not for the name "other.example"'
# One whose kernel would send in the clear what DTLS protects.
in_ns a helper sctp-send 192.0.2.2 4740 10 1300
unauthenticated() {
	in_ns b wget -q -O - http://127.0.0.1:8080/metrics | grep 'handshakes_failed_total.*other' | grep -qv ' 0$'
}
check "an association without authentication is refused" wait_for unauthenticated
stop $collector
cat /tmp/collect.log
finish
