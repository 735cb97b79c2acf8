package main

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
)

func cmdNewTopic(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 3, "newtopic NAME PARTITIONS REPLICAS [KEY=VALUE]...")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	partitions, err := strconv.ParseInt(args[1], 10, 32)
	ts.Check(err)
	replicas, err := strconv.ParseInt(args[2], 10, 16)
	ts.Check(err)
	configs := map[string]*string{}
	for _, arg := range args[3:] {
		key, value, _ := strings.Cut(arg, "=")
		configs[key] = &value
	}
	_, err = kadm.NewClient(kafkaOf(ts).client).CreateTopic(ctx, int32(partitions), int16(replicas), configs, args[0])
	ts.Check(err)
}

// misled is a listener that claims to have another address.
type misled struct {
	net.Listener
	claim net.Addr
}

func (m misled) Addr() net.Addr { return m.claim }

func cmdAdvertise(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "advertise ADDRESS")
	claim, err := net.ResolveTCPAddr("tcp", args[0])
	ts.Check(err)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(func(network, _ string) (net.Listener, error) {
		l, err := net.Listen(network, "127.0.0.1:0")
		if err == nil {
			ts.Setenv("KAFKA_BOOTSTRAP", l.Addr().String())
			l = misled{l, claim}
		}
		return l, err
	}))
	ts.Check(err)
	ts.Defer(cluster.Close)
}

func cmdMute(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "mute VARIABLE")
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

func cmdRedis(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "redis PASSWORD")
	server := miniredis.NewMiniRedis()
	server.RequireAuth(args[0])
	ts.Check(server.Start())
	ts.Defer(server.Close)
	ts.Setenv("REDIS_HOST", server.Host())
	ts.Setenv("REDIS_PORT", server.Port())
}
