package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/pipeline"
)

// settings are the values of all options of a command.
type settings struct {
	Compat       string   // the service whose defaults and file names are taken; empty: none
	Kafka        bool     // publish to Kafka
	Brokers      []string // host:port
	InputTopic   string
	Topics       pipeline.Topics
	Group        string        // consumer group of the worker
	RetryDelay   time.Duration // between attempts to reach the group, and to finish a seed
	CreateTopics bool          // a topic that is missing
	SendAttempts int           // of one message, before it goes to the spool
	SendBackoff  time.Duration // before the second attempt; doubles, with jitter

	Compression     string
	Linger          time.Duration // of a batch, for company
	BatchBytes      int           // of a batch, before compression
	QueueBytes      int           // of the messages under way
	RequestTimeout  time.Duration // of one attempt
	DeliveryTimeout time.Duration // of all attempts of a batch
	Security        emitter.Security

	EmitRate        int // new events a second; 0: no bound
	EmitBurst       int // of them at once; 0: a second's worth
	SpoolBytes      int64
	ReplayRate      int    // events a second out of the spool; negative: no bound
	DeadLetterTopic string // empty: no copies
	DeadLetterBytes int64

	Nameservers  []string // addresses, URLs and files; empty: the system's
	AskParent    bool     // settle unknown names at the servers of their parent zone
	CacheEntries int      // answers kept; 0: none
	CanaryAbsent string   // below which a random name must not exist
	CanaryExists string
	Threads      int // names asked about at once
	DNSTimeout   time.Duration
	QPS          int
	DNSAttempts  int // 0: the resolver's own number
	MaxUnknown   float64

	DedupTTL      time.Duration // 0: no memory
	EmitAll       bool          // what has not changed, too
	StateDir      string        // empty: in OutputDir
	RedisHost     string        // empty: a file
	RedisPort     int
	RedisPassword emitter.Secret

	OutputDir  string
	SeedsCSV   string // the default need not exist
	DictDir    string
	Fuzzers    string
	Dictionary []string // files
	TLD        []string // files
	Profile    string
	Allow      string
	Limit      int // names a seed; 0: no limit
	Budget     int // names of a run; 0: no budget
	Country    string

	GeoDatabase string // empty: countries are not told

	Limits  limits // of health
	Webhook string // told of changes of health; a secret

	Oneshot      bool
	ReadCSV      bool
	Sources      sourceSet
	Track        pipeline.Tracking
	FuzzSources  []string
	Parallel     int // seeds in work at once
	HTTPAddrs    []string
	OTLPEndpoint string
	HTTPToken    emitter.Secret // none: anybody may use the API
	QueueMax     int            // seeds that were submitted and are not done
	Rescan       time.Duration  // between scans of a seed; 0: none by the clock
	AskUnknown   time.Duration  // until unknown names are asked about again; doubles
	DrainTimeout time.Duration
	LogLevel     string
	LogFormat    string

	sources map[string]source // of each option, by its name
	unused  []source          // of the options that were given though they have no effect
}

const (
	compatPS02      = "ps02"
	leastThreads    = 512 // unless the flag says less
	defaultSeedsCSV = "/configs/cse_seeds.csv"
	defaultDictDir  = "/configs/dictionaries"
)

// The setters below read one kind of value into the field that the option
// chooses.

func text(field func(*settings) *string) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		*field(s) = value
		return nil
	}
}

func toggle(field func(*settings) *bool) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) (err error) {
		*field(s), err = parseBool(value)
		return err
	}
}

func list(field func(*settings) *[]string) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		*field(s) = splitList(value)
		return nil
	}
}

// lines takes a value for each line; blank ones are left out.
func lines(field func(*settings) *[]string) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); line != "" {
				*field(s) = append(*field(s), line)
			}
		}
		return nil
	}
}

func count(low, high int, field func(*settings) *int) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		*field(s) = n
		return nil
	}
}

// maximum takes a number of names; none is no limit.
func maximum(field func(*settings) *int) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		if value == "" {
			return nil
		}
		if err := count(1, math.MaxInt32, field)(s, value, source{}); err != nil {
			return usagef("leave it out for no limit", "%w", err)
		}
		return nil
	}
}

// duration accepts Go's notation and, as the Python service did, plain seconds.
func duration(low, high time.Duration, field func(*settings) *time.Duration) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		d, err := time.ParseDuration(value)
		if seconds, e := strconv.ParseFloat(value, 64); e == nil {
			d, err = time.Duration(seconds*float64(time.Second)), nil
		}
		if err != nil || d < low || d > high {
			return fmt.Errorf("must be seconds or a duration such as 500ms, from %v to %v", low, high)
		}
		*field(s) = d
		return nil
	}
}

func oneOf(field func(*settings) *string, values ...string) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		for _, v := range values {
			if strings.EqualFold(value, v) {
				*field(s) = v
				return nil
			}
		}
		return fmt.Errorf("must be %s", strings.Join(values, " or "))
	}
}

// unused accepts a variable of the service that typostream replaces without
// having a use for it; the worker says so at its start.
func unused(s *settings, _ string, from source) error {
	if from.kind != "default" {
		s.unused = append(s.unused, from)
	}
	return nil
}

// setCompat takes the name of the contract that typostream keeps.
func setCompat(s *settings, value string, _ source) error {
	switch strings.ToLower(value) {
	case "", "none":
		s.Compat = ""
	case compatPS02:
		s.Compat = compatPS02
	default:
		return errors.New("must be ps02 or none")
	}
	return nil
}

func parseBool(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, errors.New("must be true, 1, yes or false, 0, no")
}

func setBrokers(s *settings, value string, _ source) error {
	s.Brokers = splitList(value)
	for i, broker := range s.Brokers {
		host, port, err := net.SplitHostPort(broker)
		if err != nil { // no port, or an IPv6 address without brackets
			host, port = strings.TrimSuffix(strings.TrimPrefix(broker, "["), "]"), "9092"
			_, notAnAddress := netip.ParseAddr(host)
			if notAnAddress != nil && strings.ContainsAny(host, ":[]") {
				return errors.New("must be a list of host:port")
			}
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" || strings.ContainsAny(host, " /@") {
			return errors.New("must be a list of host:port")
		}
		s.Brokers[i] = net.JoinHostPort(host, port)
	}
	if len(s.Brokers) == 0 {
		return errors.New("must name at least one broker as host:port")
	}
	return nil
}

// setThreads takes the flag as it is, anything else as a minimum: the 16 of the
// Python service and its compose files would starve an asynchronous resolver.
func setThreads(s *settings, value string, from source) error {
	if err := count(1, 65536, func(s *settings) *int { return &s.Threads })(s, value, from); err != nil {
		return err
	}
	if from.kind != "flag" {
		s.Threads = max(s.Threads, leastThreads)
	}
	return nil
}

// setRetries turns dnstwist's number of retries into a number of attempts.
func setRetries(s *settings, value string, from source) error {
	if value == "" {
		return nil
	}
	if err := count(0, 20, func(s *settings) *int { return &s.DNSAttempts })(s, value, from); err != nil {
		return err
	}
	s.DNSAttempts++
	return nil
}

func setMaxUnknown(s *settings, value string, from source) error {
	return share(func(s *settings) *float64 { return &s.MaxUnknown })(s, value, from)
}

// share takes a part of 1, or a percentage.
func share(field func(*settings) *float64) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) (err error) {
		*field(s), err = parseShare(value)
		return err
	}
}

func parseShare(value string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(value), "%")
	share, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= 1) {
		return 0, errors.New("must be a share such as 1% or 0.01")
	}
	return share, nil
}

func setTracking(s *settings, value string, _ source) error {
	if strings.EqualFold(value, "all") {
		s.Track = pipeline.TrackAll
		return nil
	}
	on, err := parseBool(value)
	if err != nil {
		return errors.New("must be true, false or all")
	}
	if !on {
		s.Track = pipeline.TrackNone
	}
	return nil
}

func setEmit(s *settings, value string, _ source) error {
	switch strings.ToLower(value) {
	case "changes":
		s.EmitAll = false
	case "all":
		s.EmitAll = true
	default:
		return errors.New("must be changes or all")
	}
	return nil
}

func setMode(s *settings, value string, _ source) error {
	switch strings.ToLower(value) {
	case "continuous":
		s.Oneshot = false
	case "oneshot":
		s.Oneshot = true
	default:
		return errors.New("must be continuous or oneshot")
	}
	return nil
}

func setTopic(field func(*settings) *string) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		legal := func(r rune) bool {
			return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
		}
		if value == "" || len(value) > 249 || value == "." || value == ".." || strings.ContainsFunc(value, func(r rune) bool { return !legal(r) }) {
			return errors.New("must be a topic name: letters, digits, '.', '_' and '-', at most 249")
		}
		*field(s) = value
		return nil
	}
}

// setCopies is setTopic, and none for no topic.
func setCopies(s *settings, value string, from source) error {
	if strings.EqualFold(value, "none") {
		return nil
	}
	if setTopic(func(s *settings) *string { return &s.DeadLetterTopic })(s, value, from) != nil {
		return errors.New("must be a topic name or none")
	}
	return nil
}

// setRate takes 0 for no bound.
func setRate(s *settings, value string, from source) error {
	if err := count(0, 10_000_000, func(s *settings) *int { return &s.ReplayRate })(s, value, from); err != nil {
		return err
	}
	if s.ReplayRate == 0 {
		s.ReplayRate = -1
	}
	return nil
}

// size accepts bytes, or a number with one of the units KiB, MiB and GiB.
func size(low int64, field func(*settings) *int64) func(*settings, string, source) error {
	return func(s *settings, value string, _ source) error {
		number, unit := value, int64(1)
		for i, name := range []string{"KiB", "MiB", "GiB"} {
			if n, ok := strings.CutSuffix(value, name); ok {
				number, unit = n, 1<<(10*(i+1))
			}
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > 1<<60/unit || n*unit < low {
			return fmt.Errorf("must be a number of bytes, or one such as 512MiB, from %d", low)
		}
		*field(s) = n * unit
		return nil
	}
}

func setAddrs(s *settings, value string, _ source) error {
	addrs := splitList(value)
	for _, addr := range addrs {
		_, port, err := net.SplitHostPort(addr)
		if n, e := strconv.Atoi(port); err != nil || e != nil || n < 0 || n > 65535 {
			return errors.New("must be an address such as 127.0.0.1:8080 or :8080, or several separated by commas")
		}
	}
	if len(addrs) == 0 {
		return errors.New("must be an address such as 127.0.0.1:8080 or :8080")
	}
	s.HTTPAddrs = addrs
	return nil
}

func splitList(value string) []string {
	var parts []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func setCountry(s *settings, value string, _ source) error {
	value = strings.ToUpper(value)
	if value != "" && len(fuzzer.HomeSuffixes(value)) == 0 {
		return errors.New("must be a country's two letters, such as IN")
	}
	s.Country = value
	return nil
}
