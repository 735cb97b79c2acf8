package main

import (
	"time"
)

// This file lists every option there is, by theme; each command takes the
// themes that it needs. The environment's names are those of the service that
// typostream replaces, with their aliases.

func brokerOptions() []option {
	return join(deliveryOptions(), producerOptions(), securityOptions())
}

func deliveryOptions() []option {
	return []option{
		{
			name: "bootstrap", env: []string{"KAFKA_BOOTSTRAP", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS"}, value: "kafka:9092",
			usage: "Kafka brokers to begin with, `HOST:PORT,...`", set: setBrokers,
		},
		{
			name: "output-topic", env: []string{"KAFKA_OUTPUT_TOPIC", "KAFKA_TOPIC"}, value: "domains.candidates", compat: "raw.hosts",
			usage: "`TOPIC` of the candidates", set: setTopic(func(s *settings) *string { return &s.Topics.Candidates }),
		},
		{
			name: "create-topics", env: []string{"KAFKA_CREATE_TOPICS"}, value: "false", toggle: true,
			usage: "create a topic that is missing: 12 partitions, up to 3 replicas, 7 days", set: toggle(func(s *settings) *bool { return &s.CreateTopics }),
		},
		{
			name: "send-attempts", env: []string{"KAFKA_SEND_ATTEMPTS"}, value: "3",
			usage: "attempts to send a message before it goes to the spool, `N`", set: count(1, 10, func(s *settings) *int { return &s.SendAttempts }),
		},
		{
			name: "send-backoff", env: []string{"KAFKA_SEND_BACKOFF"}, value: "1s",
			usage: "`TIME` before the second attempt; it doubles for each further one, with jitter",
			set:   duration(time.Millisecond, time.Minute, func(s *settings) *time.Duration { return &s.SendBackoff }),
		},
	}
}

// recordTopicOptions are the topics of the records beside the candidates.
func recordTopicOptions() []option {
	return []option{
		{
			name: "crawl-topic", env: []string{"KAFKA_CRAWL_TOPIC"}, value: "phish.urls.crawl",
			usage: "`TOPIC` of seeds to be fetched", set: setTopic(func(s *settings) *string { return &s.Topics.Crawl }),
		},
		{
			name: "inactive-topic", env: []string{"KAFKA_INACTIVE_TOPIC"}, value: "phish.urls.inactive",
			usage: "`TOPIC` of names without an address", set: setTopic(func(s *settings) *string { return &s.Topics.Inactive }),
		},
	}
}

func kafkaOption(def string, env ...string) option {
	return option{
		name: "kafka", env: env, value: def, toggle: true, inverse: len(env) > 0,
		usage: "publish to Kafka", set: toggle(func(s *settings) *bool { return &s.Kafka }),
	}
}

func intakeOptions() []option {
	return []option{
		{
			name: "input-topic", env: []string{"KAFKA_INPUT_TOPIC"}, value: "raw.hosts",
			usage: "`TOPIC` of seeds", set: setTopic(func(s *settings) *string { return &s.InputTopic }),
		},
		{
			name: "group", env: []string{"KAFKA_GROUP_ID"}, value: "dnstwist-runner",
			usage: "consumer `GROUP`", set: setTopic(func(s *settings) *string { return &s.Group }),
		},
		{
			name: "retry-delay", env: []string{"KAFKA_RETRY_DELAY"}, value: "5s",
			usage: "`TIME` between attempts to reach Kafka for the group and to finish a seed",
			set:   duration(10*time.Millisecond, time.Hour, func(s *settings) *time.Duration { return &s.RetryDelay }),
		},
		{
			name: "retry-attempts", env: []string{"KAFKA_RETRY_ATTEMPTS"}, value: "10",
			usage: "accepted and not used: joining the group is tried for as long as it takes", set: unused,
		},
		{
			name: "fuzz-src", env: []string{"FUZZ_SRC"},
			usage: "scan messages with these values of src too, `SRC,...`", set: list(func(s *settings) *[]string { return &s.FuzzSources }),
		},
	}
}

func dnsOptions() []option {
	return []option{
		{
			name: "nameservers", env: []string{"NAMESERVERS"}, compat: "unbound:5335",
			usage: "resolvers to ask, `HOST[:PORT],[V6]:PORT,...`, tls://HOST, https://HOST/dns-query or a file (with a /) of such; the system's if none", set: list(func(s *settings) *[]string { return &s.Nameservers }),
		},
		{
			name: "threads", short: "t", env: []string{"THREADS"}, value: "4096", compat: "16",
			usage: "most names of a seed asked about at once, `N`; at least 512 unless this flag says less", set: setThreads,
		},
		{
			name: "dns-timeout", env: []string{"REQUEST_TIMEOUT_DNS"}, value: "2.5s",
			usage: "longest `TIME` to wait for an answer to one query", set: duration(10*time.Millisecond, time.Minute, func(s *settings) *time.Duration { return &s.DNSTimeout }),
		},
		{
			name: "dns-retries", env: []string{"REQUEST_RETRIES_DNS"}, compat: "2",
			usage: "repeat a query without answer `N` times (default 4)", set: setRetries,
		},
		{
			name: "qps", env: []string{"DNS_QPS"}, value: "0",
			usage: "send at most `N` queries a second, all nameservers together; 0 for as many as they answer", set: count(0, 10_000_000, func(s *settings) *int { return &s.QPS }),
		},
		{
			name: "ask-parent", env: []string{"ASK_PARENT"}, value: "false", toggle: true,
			usage: "ask the servers of the parent zone about a name that no resolver knows anything of", set: toggle(func(s *settings) *bool { return &s.AskParent }),
		},
		{
			name: "canary-exists", env: []string{"CANARY_EXISTS"}, value: ".",
			usage: "`NAME` that every honest resolver knows; one that denies it is left out", set: text(func(s *settings) *string { return &s.CanaryExists }),
		},
		{
			name: "canary-absent", env: []string{"CANARY_ABSENT"}, value: "com",
			usage: "`DOMAIN` below which a random name does not exist; a resolver that knows one is left out", set: text(func(s *settings) *string { return &s.CanaryAbsent }),
		},
		{
			name: "max-unknown", env: []string{"MAX_UNKNOWN"}, value: "1%",
			usage: "`SHARE` of names without a sure answer that a complete run may have", set: setMaxUnknown,
		},
	}
}

func cacheOption() option {
	return option{
		name: "dns-cache", env: []string{"DNS_CACHE"}, value: "50000",
		usage: "answers that are kept for their time to live, `N`; at most 512 bytes each", set: count(0, 10_000_000, func(s *settings) *int { return &s.CacheEntries }),
	}
}

func fuzzerOptions() []option {
	return join([]option{
		{
			name: "profile", value: "standard", usage: "`NAME` of the rules: standard (the 5,000 likeliest names), wide (50,000), full (all), or dnstwist for exactly its names",
			set: oneOf(func(s *settings) *string { return &s.Profile }, "standard", "wide", "full", "dnstwist"),
		},
		{name: "fuzzers", usage: "use only these algorithms, `NAME,...`", set: text(func(s *settings) *string { return &s.Fuzzers })},
		limitOption(),
		{
			name: "budget", env: []string{"BUDGET"},
			usage: "at most `N` names in the whole run, in equal shares for all seeds; what a seed does not need goes to those after it",
			set:   maximum(func(s *settings) *int { return &s.Budget }),
		},
	}, listOptions(), []option{countryOption("a brand is at home under"), allowOption()})
}

func countryOption(does string) option {
	return option{
		name: "country", env: []string{"COUNTRY"},
		usage: "`CODE` of the country whose suffixes " + does + "; else that of the seed's suffix", set: setCountry,
	}
}

func limitOption() option {
	return option{
		name: "limit", env: []string{"LIMIT"},
		usage: "at most `N` names a seed, the likeliest of those that the profile, the fuzzers or the passes make",
		set:   maximum(func(s *settings) *int { return &s.Limit }),
	}
}

// listOptions are the word and suffix lists of those who bring their own.
func listOptions() []option {
	return []option{
		{
			name: "dictionary", short: "d", env: []string{"DICTIONARY_FILES"}, repeat: true,
			usage: "words for the dictionary algorithm, one a line of `FILE`; else a list of our own",
			set:   lines(func(s *settings) *[]string { return &s.Dictionary }),
		},
		{
			name: "tld", env: []string{"TLD_FILES"}, repeat: true,
			usage: "suffixes for the tld-swap algorithm, one a line of `FILE`; else a list of our own",
			set:   lines(func(s *settings) *[]string { return &s.TLD }),
		},
	}
}

func allowOption() option {
	return option{
		name: "allow", env: []string{"ALLOW_LIST"},
		usage: "leave out the domains of `FILE`, one a line, and all names below them", set: text(func(s *settings) *string { return &s.Allow }),
	}
}

func outputDirOption(def string) option {
	return option{
		name: "output-dir", env: []string{"OUTPUT_DIR"}, value: def, compat: "/out",
		usage: "`DIR` of spool, dead letters and, without Kafka, of the records", set: text(func(s *settings) *string { return &s.OutputDir }),
	}
}

// spoolOptions are those of what Kafka does not take.
func spoolOptions() []option {
	return []option{
		{
			name: "spool-max-bytes", env: []string{"SPOOL_MAX_BYTES"}, value: "1GiB",
			usage: "`SIZE` of the spool at which the worker takes no more events until there is room", set: size(1<<20, func(s *settings) *int64 { return &s.SpoolBytes }),
		},
		replayRateOption(),
		{
			name: "dlq-topic", env: []string{"KAFKA_DLQ_TOPIC"}, value: "typostream.dlq",
			usage: "`TOPIC` of copies of the dead letters; none for no copies", set: setCopies,
		},
		{
			name: "dlq-max-bytes", env: []string{"DLQ_MAX_BYTES"}, value: "256MiB",
			usage: "`SIZE` of the file of dead letters at which what would go there waits", set: size(1<<20, func(s *settings) *int64 { return &s.DeadLetterBytes }),
		},
	}
}

func replayRateOption() option {
	return option{
		name: "replay-rate", env: []string{"KAFKA_REPLAY_RATE"}, value: "5000",
		usage: "`N` events a second at most are sent from the spool; 0 for no bound", set: setRate,
	}
}

func workerOptions() []option {
	return []option{
		{
			name: "mode", env: []string{"RUNNER_MODE"}, value: "continuous",
			usage: "`MODE`: continuous, or oneshot to end after the file of seeds", set: setMode,
		},
		{
			name: "sources", env: []string{"SOURCES"}, value: "csv,kafka,http",
			usage: "where seeds are taken from, `SOURCE,...` of csv, kafka and http", set: setSources,
		},
		{
			name: "seeds", env: []string{"SEEDS_CSV"}, value: defaultSeedsCSV,
			usage: "`FILE` of seeds read at start, lines or CSV; the default need not exist", set: text(func(s *settings) *string { return &s.SeedsCSV }),
		},
		{
			name: "process-csv", env: []string{"PROCESS_CSV_ON_STARTUP"}, value: "true", toggle: true, inverse: true,
			usage: "read the file of seeds at start", set: toggle(func(s *settings) *bool { return &s.ReadCSV }),
		},
		{
			name: "dict-dir", env: []string{"DICT_DIR"}, value: defaultDictDir,
			usage: "`DIR` of common_tlds.dict, india_tlds.dict, english.dict, high_risk.dict; lists of our own for those it lacks",
			set:   text(func(s *settings) *string { return &s.DictDir }),
		},
		allowOption(),
		limitOption(), countryOption("PASS_B uses"),
		{
			name: "emit", env: []string{"EMIT"}, value: "changes", compat: "all",
			usage: "`WHAT` is published of a seed that was scanned before: changes, or all that is registered",
			set:   setEmit,
		},
		{
			name: "track-unregistered", env: []string{"TRACK_UNREGISTERED"}, value: "true",
			usage: "publish names without an address: `true`, false, or all for absent ones too", set: setTracking,
		},
		{
			name: "seeds-in-parallel", env: []string{"SEEDS_IN_PARALLEL"}, value: "4",
			usage: "seeds in work at once, `N`", set: count(1, 1024, func(s *settings) *int { return &s.Parallel }),
		},
		{
			name: "http-addr", env: []string{"HTTP_ADDR"}, value: "127.0.0.1:8080",
			usage: "`ADDRESS,...` of /livez, /readyz, /metrics and /api", set: setAddrs,
		},
		{
			name: "http-token", env: []string{"HTTP_TOKEN"}, secret: true,
			usage: "`TOKEN` that clients of /api must send as bearer token; none for no check. Other users of the machine can see it as a flag", set: text(func(s *settings) *string { return &s.HTTPToken.Value }),
		},
		{
			name: "http-token-file", env: []string{"HTTP_TOKEN_FILE"},
			usage: "`FILE` that holds the token", set: text(func(s *settings) *string { return &s.HTTPToken.File }),
		},
		{
			name: "queue-max", env: []string{"QUEUE_MAX"}, value: "100000",
			usage: "seeds handed in over HTTP that may wait or be in work, `N`", set: count(1, 10_000_000, func(s *settings) *int { return &s.QueueMax }),
		},
		{
			name: "rescan-interval", env: []string{"RESCAN_INTERVAL"}, value: "24h", compat: "0",
			usage: "scan each seed again after this `TIME`; 0 for never", set: duration(0, 10*365*24*time.Hour, func(s *settings) *time.Duration { return &s.Rescan }),
		},
		{
			name: "unknown-interval", env: []string{"UNKNOWN_INTERVAL"}, value: "15m",
			usage: "ask about names without a sure answer again after this `TIME`, which doubles each time",
			set:   duration(time.Millisecond, 10*365*24*time.Hour, func(s *settings) *time.Duration { return &s.AskUnknown }),
		},
		{
			name: "shutdown-timeout", env: []string{"SHUTDOWN_TIMEOUT"}, value: "25s",
			usage: "`TIME` that seeds in work have to finish after SIGTERM",
			set:   duration(0, time.Hour, func(s *settings) *time.Duration { return &s.DrainTimeout }),
		},
		geoipOption(),
	}
}

// dedupOptions say what keeps candidates from being published again.
func dedupOptions() []option {
	return []option{
		{
			name: "dedup-ttl", env: []string{"DEDUP_TTL_SECS"}, value: "10368000",
			usage: "`TIME` for which a candidate that has not changed is not published again; 0 publishes it each time",
			set:   duration(0, 10*365*24*time.Hour, func(s *settings) *time.Duration { return &s.DedupTTL }),
		},
		{
			name: "state-dir", env: []string{"STATE_DIR"},
			usage: "`DIR` of what the worker remembers; else .typostream in the output directory", set: text(func(s *settings) *string { return &s.StateDir }),
		},
		{
			name: "redis-host", env: []string{"REDIS_HOST"}, compat: "redis",
			usage: "`HOST` of the Redis server that remembers for several workers, in place of the file", set: text(func(s *settings) *string { return &s.RedisHost }),
		},
		{
			name: "redis-port", env: []string{"REDIS_PORT"}, value: "6379",
			usage: "its `PORT`", set: count(1, 65535, func(s *settings) *int { return &s.RedisPort }),
		},
		{
			name: "redis-password", env: []string{"REDIS_PASSWORD"}, secret: true,
			usage: "its `PASSWORD`; other users of the machine can see it as a flag", set: text(func(s *settings) *string { return &s.RedisPassword.Value }),
		},
		{
			name: "redis-password-file", env: []string{"REDIS_PASSWORD_FILE"},
			usage: "`FILE` that holds the password", set: text(func(s *settings) *string { return &s.RedisPassword.File }),
		},
	}
}

func logOptions(format string) []option {
	return []option{
		{
			name: "log-level", env: []string{"LOG_LEVEL"}, value: map[string]string{"json": "info", "text": "warn"}[format],
			usage: "least `LEVEL` that is logged: debug, info, warn, error", set: oneOf(func(s *settings) *string { return &s.LogLevel }, "debug", "info", "warn", "error"),
		},
		{
			name: "log-format", env: []string{"LOG_FORMAT"}, value: format,
			usage: "`FORMAT` of the log: text or json", set: oneOf(func(s *settings) *string { return &s.LogFormat }, "text", "json"),
		},
	}
}

// compatOption comes before all options whose defaults it changes.
func compatOption() option {
	return option{
		name: "compat", env: []string{"TYPOSTREAM_COMPAT"},
		usage: "stand in for the service of this `NAME`, with its defaults and file names: ps02, the Python service that ran dnstwist; or none",
		set:   setCompat,
	}
}

// workerCatalogue is every option of the worker.
func workerCatalogue() []option {
	return join(
		[]option{compatOption(), kafkaOption("true", "KAFKA_ENABLED")}, brokerOptions(), recordTopicOptions(), intakeOptions(), dnsOptions(),
		[]option{cacheOption(), outputDirOption("/out")}, emitRateOptions(), spoolOptions(), dedupOptions(), workerOptions(), healthOptions(), traceOptions(), logOptions("json"),
	)
}

func join(lists ...[]option) []option {
	var all []option
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
