# Records over SCTP, undisturbed and with the collector killed (associations.sh); and what its chunks look like: all data
# on stream 0 and in order, so that no record overtakes its template (RFC 7011 8.3).
. /test/lib.sh
scheme=Sctp
. /test/associations.sh

prepare
start_watch
undisturbed
stop_watch
at_least "chunks of data" 10 "$(watched data)"
equal "packets that were not seen" 0 "$(watched 'packets unseen')"
equal "data unordered" 0 "$(watched 'data unordered')"
equal "data on other streams" 0 "$(watched 'data on other streams')"
[ "$kills" = 0 ] || with_kills
finish
