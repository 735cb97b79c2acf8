package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/typostream/typostream/resolver/resolvertest"
)

// patience is how long a script waits for what must come. It is never used up
// by a test that passes.
const patience = 40 * time.Second

// world is what the commands of one script share.
type world struct {
	processes map[string]*process
	kafka     *fakeKafka
	dns       *resolvertest.Server // the newest
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// setupScript gives every script a free port for the worker's HTTP server and
// delays that fit a test. A script that asks the DNS starts a server with dns.
func setupScript(env *testscript.Env) error {
	golden, err := filepath.Abs("../../testdata/dnstwist")
	if err != nil {
		return err
	}
	env.Values[worldKey{}] = &world{processes: map[string]*process{}}
	env.Setenv("GOLDEN", golden)
	env.Setenv("HTTP_ADDR", "127.0.0.1:0")
	env.Setenv("KAFKA_SEND_BACKOFF", "1ms")
	env.Setenv("KAFKA_RETRY_DELAY", "50ms")
	env.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // else the race detector holds each process for a second
	return nil
}

// scriptCommands are:
//
//	exits CODE COMMAND ARG...    run the command; its exit code must be CODE
//	dns FILE [VARIABLE]          serve the zone in FILE; its address goes to $NAMESERVERS
//	asked NAME                   wait until the newest server was asked about the name
//	kafka [brokers=N] TOPIC[:PARTITIONS]...  start a Kafka, of one broker if N is not given; its address goes to $KAFKA_BOOTSTRAP
//	newtopic NAME PARTITIONS REPLICAS [KEY=VALUE]...  create a topic with settings
//	advertise ADDRESS            start a Kafka whose only broker advertises that address, and not its own, which goes to $KAFKA_BOOTSTRAP
//	stopkafka                    stop it; with none running, $KAFKA_BOOTSTRAP becomes an address that nobody listens on
//	produce TOPIC KEY FILE       publish the file without its last line feed; the key - is none
//	topic NAME                   print what is in a topic: partition, key and value, by offset
//	wanttopic NAME N             wait until N records are in the topic, and print them
//	offsets GROUP TOPIC          print the group's offset and the end of each partition
//	start NAME COMMAND ARG...    run the command beside the script, with output to NAME.out and NAME.err
//	await FILE REGEXP            wait until a file, or one that the pattern matches, has the text
//	signal NAME TERM|INT|HUP|KILL         send a signal to a process of start
//	finish NAME CODE             wait for its end; its exit code must be CODE
//	post NAME PATH FILE [TOKEN]   post a file as JSON to a worker of start, and print status and body; the first id of a scan in it goes to $SCAN
//	put NAME PATH FILE [TOKEN]    the same with PUT
//	http NAME PATH [REGEXP]      get PATH from a worker of start, or of NAME@N at its Nth address, and print status and body; again until REGEXP matches
//	stream NAME PATH REGEXP      read from a worker of start until a line matches; it stays open until the script ends
//	address NAME                 the address of a worker of start goes to $HTTP_ADDR
//	vector DOMAIN json|list      print a vector of testdata/dnstwist as dnstwist would, and write its lists to words and suffixes
//	fill FILE BYTES TEXT         write a file of that size, TEXT again and again
//	field FILE NAME              print that field of each line of JSON objects
//	sorted stdout|FILE            print its lines in order
//	mute VARIABLE                listen and never answer; the address goes to the variable
//	collector FILE               take spans over OTLP/HTTP into the file; its address goes to $OTEL_EXPORTER_OTLP_ENDPOINT
//	redis PASSWORD               start a Redis; its address goes to $REDIS_HOST and $REDIS_PORT
//	env-lines NAME VALUE...      set a variable to the values, a line each
//	countries FILE NETWORK=COUNTRY...  write a country database
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":     cmdExits,
	"dns":       cmdDNS,
	"tlsdns":    cmdTLSDNS,
	"asked":     cmdAsked,
	"kafka":     cmdKafka,
	"newtopic":  cmdNewTopic,
	"advertise": cmdAdvertise,
	"mute":      cmdMute,
	"collector": cmdCollector,
	"redis":     cmdRedis,
	"stopkafka": cmdStopKafka,
	"produce":   cmdProduce,
	"topic":     cmdTopic,
	"wanttopic": cmdWantTopic,
	"offsets":   cmdOffsets,
	"start":     cmdStart,
	"await":     cmdAwait,
	"signal":    cmdSignal,
	"finish":    cmdFinish,
	"http":      cmdHTTP,
	"post":      cmdPost,
	"put":       cmdPut,
	"stream":    cmdStream,
	"address":   cmdAddress,
	"vector":    cmdVector,
	"fill":      cmdFill,
	"field":     cmdField,
	"sorted":    cmdSorted,
	"env-lines": cmdEnvLines,
	"countries": cmdCountries,
}

func cmdEnvLines(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 2, "env-lines NAME VALUE...")
	ts.Setenv(args[0], strings.Join(args[1:], "\n"))
}

// usage ends the script when a command was called in the wrong way.
func usage(ts *testscript.TestScript, neg, fits bool, text string) {
	if neg || !fits {
		ts.Fatalf("usage: %s (without !)", text)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 2, "exits CODE COMMAND ARG...")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func cmdDNS(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1 || len(args) == 2, "dns FILE [VARIABLE]")
	server, err := resolvertest.StartFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(server.Close)
	worldOf(ts).dns = server
	name := "NAMESERVERS"
	if len(args) == 2 {
		name = args[1]
	}
	ts.Setenv(name, server.Addr())
}

// cmdTLSDNS serves a zone over TLS and HTTPS, and lets the program trust its
// certificates as an operator would.
func cmdTLSDNS(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "tlsdns FILE")
	server, err := resolvertest.StartFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(server.Close)
	authority, err := resolvertest.NewAuthority()
	ts.Check(err)
	addr, err := server.StartTLS(authority)
	ts.Check(err)
	url, err := server.StartHTTPS(authority)
	ts.Check(err)
	roots := ts.MkAbs("roots.pem")
	ts.Check(os.WriteFile(roots, authority.PEM(), 0o600))
	ts.Setenv("TLS", "tls://"+addr)
	ts.Setenv("HTTPS", url)
	ts.Setenv("SSL_CERT_FILE", roots)
}

func cmdAsked(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "asked NAME")
	server := worldOf(ts).dns
	if server == nil {
		ts.Fatalf("no dns was started")
	}
	await(ts, "a query for "+args[0], func() bool { return server.Queries(args[0], "") > 0 })
}

// process is a command that runs beside the script.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) >= 2, "start NAME COMMAND ARG...")
	name := args[0]
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, args[1])); err == nil && !info.IsDir() && path == "" {
			path = filepath.Join(dir, args[1])
		}
	}
	cmd := exec.Command(path, args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = scriptEnvironment(ts)
	for suffix, stream := range map[string]*io.Writer{".out": &cmd.Stdout, ".err": &cmd.Stderr} {
		file, err := os.Create(ts.MkAbs(name + suffix))
		ts.Check(err)
		defer file.Close()
		*stream = file
	}
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // finish looks at the state
		close(p.done)
	}()
	worldOf(ts).processes[name] = p
	ts.Defer(func() {
		select {
		case <-p.done:
		default:
			_ = cmd.Process.Kill()
			<-p.done
			ts.Logf("[%s was still running]\n%s", name, ts.ReadFile(name+".err"))
		}
	})
}

// scriptEnvironment is the part of the script's environment that typostream
// and the Go runtime may look at; testscript does not tell the whole.
func scriptEnvironment(ts *testscript.TestScript) []string {
	names := []string{"PATH", "HOME", "TMPDIR", "WORK", "GORACE", "GOCOVERDIR"}
	for _, o := range join(workerCatalogue(), fuzzerOptions()) {
		names = append(names, o.env...)
	}
	var env []string
	for _, name := range names {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func processOf(ts *testscript.TestScript, name string) *process {
	p := worldOf(ts).processes[name]
	if p == nil {
		ts.Fatalf("no process %s was started", name)
	}
	return p
}

func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "signal NAME TERM|INT|HUP")
	number := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}[args[1]]
	if number == 0 {
		ts.Fatalf("no signal %s", args[1])
	}
	ts.Check(processOf(ts, args[0]).cmd.Process.Signal(number))
}

func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "finish NAME CODE")
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	p := processOf(ts, args[0])
	select {
	case <-p.done:
	case <-time.After(patience):
		ts.Fatalf("%s does not end:\n%s", args[0], ts.ReadFile(args[0]+".err"))
	}
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("exit code %d, want %d:\n%s", got, want, ts.ReadFile(args[0]+".err"))
	}
}

// await asks again and again until look is content.
func await(ts *testscript.TestScript, what string, look func() bool) {
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !look() {
		select {
		case <-deadline:
			ts.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "await FILE REGEXP")
	wanted, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	await(ts, fmt.Sprintf("%q in %s", args[1], args[0]), func() bool {
		paths, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil && wanted.Match(text) {
				return true
			}
		}
		return false
	})
}

var httpAddress = regexp.MustCompile(`"msg":"worker started".*"http":"([^"]+)"`)

func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2 || len(args) == 3, "http NAME PATH [REGEXP]")
	wanted := regexp.MustCompile("")
	if len(args) == 3 {
		wanted = regexp.MustCompile("(?m)" + args[2])
	}
	address := addressOf(ts, args[0])
	answer := ""
	await(ts, fmt.Sprintf("%s in the answer to GET %s", wanted, args[1]), func() bool {
		response, err := http.Get("http://" + address + args[1])
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		answer = fmt.Sprintf("%d\n%s", response.StatusCode, body)
		return wanted.MatchString(answer)
	})
	fmt.Fprint(ts.Stdout(), answer)
}

// cmdVector writes what dnstwist prints for --format json or list without
// asking the DNS.
func cmdVector(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2 && (args[1] == "json" || args[1] == "list"), "vector DOMAIN json|list")
	file, err := os.Open(filepath.Join(ts.Getenv("GOLDEN"), args[0]+".json.gz"))
	ts.Check(err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	ts.Check(err)
	type permutation struct {
		Domain string `json:"domain"`
		Fuzzer string `json:"fuzzer"`
	}
	var vector struct {
		Meta struct {
			Words    []string `json:"dictionary"`
			Suffixes []string `json:"tld_dictionary"`
		}
		Permutations []permutation
	}
	ts.Check(json.NewDecoder(unzipped).Decode(&vector))
	ts.Check(os.WriteFile(ts.MkAbs("words"), []byte(strings.Join(vector.Meta.Words, "\n")+"\n"), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("suffixes"), []byte(strings.Join(vector.Meta.Suffixes, "\n")+"\n"), 0o644))
	if args[1] == "list" {
		for _, p := range vector.Permutations {
			fmt.Fprintln(ts.Stdout(), p.Domain)
		}
		return
	}
	text, err := json.MarshalIndent(vector.Permutations, "", "    ")
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n", text)
}

func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "fill FILE BYTES TEXT")
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := bytes.Repeat([]byte(args[2]), size/len(args[2])+1)[:size]
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o644))
}

func cmdField(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "field FILE NAME")
	lines := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	for {
		var object map[string]json.RawMessage
		err := lines.Decode(&object)
		if err == io.EOF {
			return
		}
		ts.Check(err)
		text := string(object[args[1]])
		if unquoted := ""; json.Unmarshal(object[args[1]], &unquoted) == nil {
			text = unquoted
		}
		fmt.Fprintln(ts.Stdout(), text)
	}
}

func cmdSorted(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "sorted stdout|FILE")
	lines := slices.Sorted(strings.Lines(ts.ReadFile(args[0])))
	fmt.Fprint(ts.Stdout(), strings.Join(lines, ""))
}
