. /test/lib.sh
must "namespaces and veth" join
finish
