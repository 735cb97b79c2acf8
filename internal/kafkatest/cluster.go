//go:build unix

// Package kafkatest starts three real Apache Kafka nodes on 127.0.0.1, for
// tests that need to know what a broker does when it is killed, hung, stopped
// or started again. Each node is broker and controller (KRaft). It needs Java
// 17 and the jars that `make kafka-jars` brings; see testdata/kafka/README.md.
//
// It signals only processes that it started.
package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// size is the number of nodes: the least that can lose one and still write with two replicas in sync.
const size = 3

// startAttempts is how often Start picks ports: another process may take one before the node listens on it.
const startAttempts = 3

// Options change what Start does; the zero value is good.
type Options struct {
	// Libs is the directory of the jars. Default: $TYPOSTREAM_KAFKA_LIBS, else testdata/kafka/libs in the module.
	Libs string
	// Properties are further server.properties, for every node; they win over the package's own.
	Properties map[string]string
	// Secure adds a SASL_SSL listener to every node; see SecureBrokers, CAFile, SetPassword.
	Secure bool
	// Fast turns the JVM's optimising compiler on: slower to start, faster to serve. For benchmarks.
	Fast bool
}

// A Cluster is three Kafka nodes, numbered 1 to 3. Its methods may be called from several goroutines.
type Cluster struct {
	site    site
	opts    Options
	dir     string
	nodes   []*node
	spawner *spawner
	client  *kgo.Client

	closing sync.Once
	closed  error
}

// Start starts three nodes with empty data and returns when all have
// registered and can elect leaders, 6 to 15 s later on 2 cores. When Java or
// the jars are missing, the error is a *MissingError. The context bounds the
// start only. The data is in a temporary directory that Close removes.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c := &Cluster{opts: opts}
	var err error
	if c.site, err = findSite(opts.Libs); err != nil {
		return nil, err
	}
	if err := c.site.needJava(ctx); err != nil {
		return nil, err
	}
	if err := c.site.needJars(); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "kafkatest-"); err != nil {
		return nil, err
	}
	c.spawner = newSpawner()
	for attempt := 1; ; attempt++ {
		err = c.boot(ctx, filepath.Join(c.dir, strconv.Itoa(attempt)))
		if err == nil {
			return c, nil
		}
		if attempt == startAttempts || !c.portTaken() {
			return nil, errors.Join(err, c.Close())
		}
		c.client.Close()
		c.killAll()
	}
}

// boot makes new nodes in dir, formats and starts them, and waits until they are ready.
func (c *Cluster) boot(ctx context.Context, dir string) error {
	c.nodes = nil
	for id := 1; id <= size; id++ {
		c.nodes = append(c.nodes, &node{id: id})
	}
	keystore := ""
	if c.opts.Secure {
		keystore = filepath.Join(c.dir, "keystore.pem")
		if err := makeCertificate(c.CAFile(), keystore); err != nil {
			return err
		}
	}
	if err := layOut(dir, c.nodes, keystore, c.opts.Properties); err != nil {
		return err
	}
	var err error
	c.client, err = kgo.NewClient(
		kgo.SeedBrokers(c.Brokers()...),
		kgo.DialTimeout(2*time.Second),
		kgo.RetryTimeout(2*time.Second),
		kgo.RequestTimeoutOverhead(5*time.Second),
		kgo.MetadataMinAge(100*time.Millisecond),
	)
	if err != nil {
		return err
	}
	if err := c.format(ctx); err != nil {
		return err
	}
	if err := c.StartNode(c.Nodes()...); err != nil {
		return err
	}
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	return c.probe(ctx)
}

// format writes the cluster's identity into the nodes' data directories.
func (c *Cluster) format(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range c.nodes {
		g.Go(func() error {
			cmd := c.javaCommand(ctx, "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", n.properties())
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("kafkatest: formatting node %d: %w\n%s", n.id, err, out)
			}
			return nil
		})
	}
	return g.Wait()
}

func (c *Cluster) javaCommand(ctx context.Context, class string, args ...string) *exec.Cmd {
	argv := append(jvmOptions(filepath.Join(c.site.data, "log4j2.properties"), c.opts.Fast),
		"-cp", filepath.Join(c.site.libs, "*"), class)
	return exec.CommandContext(ctx, c.site.java, append(argv, args...)...)
}

// portTaken reports whether some node could not listen because its port was in use.
func (c *Cluster) portTaken() bool {
	for _, n := range c.nodes {
		if strings.Contains(n.tail(), "Address already in use") {
			return true
		}
	}
	return false
}

// Nodes returns the numbers of all nodes: 1, 2, 3.
func (c *Cluster) Nodes() []int {
	ids := make([]int, len(c.nodes))
	for i, n := range c.nodes {
		ids[i] = n.id
	}
	return ids
}

// Brokers returns the host:port of every node, running or not, in the order of Nodes. They stay the same until Close.
func (c *Cluster) Brokers() []string {
	addrs := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		addrs[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(n.brokerPort))
	}
	return addrs
}

// StartNode starts nodes that do not run; their data is as they left it. It returns when the processes exist: WaitReady
// waits until they serve. Two of three must run before any becomes ready.
func (c *Cluster) StartNode(ids ...int) error {
	return c.each(ids, func(n *node) error {
		// The process outlives whatever context its start had: the spawner and Close end it.
		return n.start(c.spawner, c.javaCommand(context.Background(), "kafka.Kafka", n.properties()))
	})
}

// Kill ends nodes at once (SIGKILL) and returns when they are gone. The others notice after 6 s.
func (c *Cluster) Kill(ids ...int) error { return c.each(ids, (*node).kill) }

// Stop shuts nodes down in order (SIGTERM): leadership is handed over first. It returns when they are gone. A node that
// takes longer than 20 s, as one does that has no quorum to hand over to, is killed.
func (c *Cluster) Stop(ids ...int) error { return c.each(ids, (*node).stop) }

// Pause makes nodes hang (SIGSTOP): connections stay, nothing is answered.
func (c *Cluster) Pause(ids ...int) error {
	return c.each(ids, func(n *node) error { return n.pause(true) })
}

// Resume lets paused nodes go on (SIGCONT).
func (c *Cluster) Resume(ids ...int) error {
	return c.each(ids, func(n *node) error { return n.pause(false) })
}

// each runs f on all the nodes at the same time.
func (c *Cluster) each(ids []int, f func(*node) error) error {
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		if id < 1 || id > len(c.nodes) {
			errs[i] = fmt.Errorf("kafkatest: no node %d", id)
			continue
		}
		wg.Go(func() { errs[i] = f(c.nodes[id-1]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Log returns the last 16 KiB of a node's log, "" if there is none.
func (c *Cluster) Log(id int) string {
	if id < 1 || id > len(c.nodes) {
		return ""
	}
	return c.nodes[id-1].tail()
}

// Close kills all nodes, paused ones too, waits for them and removes their data. It may be called again.
func (c *Cluster) Close() error {
	c.closing.Do(func() {
		if c.client != nil {
			c.client.Close()
		}
		c.killAll()
		c.spawner.close()
		c.closed = os.RemoveAll(c.dir)
	})
	return c.closed
}

func (c *Cluster) killAll() {
	_ = c.each(c.Nodes(), func(n *node) error {
		_ = n.kill() // the one error there is: it does not run
		return nil
	})
}
