package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/typostream/typostream/emitter"
	"github.com/typostream/typostream/internal/geoip"
	"github.com/typostream/typostream/internal/store"
	"github.com/typostream/typostream/resolver"
)

// What a disk should bear.
const (
	slowSync  = 50 * time.Millisecond
	leastFree = 64 << 20
)

// examineDir looks at the output directory.
func examineDir(ctx context.Context, s *settings, patience time.Duration) []diagnosis {
	return examineDisk(ctx, checkDirectory, s.OutputDir, patience, func() []diagnosis {
		facts, err := emitter.InspectDir(s.OutputDir)
		return diagnoseDir(facts, err, s)
	})
}

// examineDisk does not wait for a disk that hangs, which nothing can interrupt.
func examineDisk(ctx context.Context, check, subject string, patience time.Duration, examine func() []diagnosis) []diagnosis {
	result := make(chan []diagnosis, 1)
	go func() { result <- examine() }()
	patience += 5 * time.Second // a slow disk is to be told from one that hangs
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case all := <-result:
		return all
	case <-timer.C:
	case <-ctx.Done():
	}
	return []diagnosis{{
		check, subject, fail, fmt.Sprintf("the disk has not answered within %v", patience),
		"see whether the disk or the server of a network file system hangs",
	}}
}

// examineStore looks at the file in which the worker keeps its queue and, without
// Redis, what it has published. It is not changed.
func examineStore(ctx context.Context, s *settings, patience time.Duration) []diagnosis {
	path := statePath(s)
	return examineDisk(ctx, checkStore, path, patience, func() []diagnosis {
		facts, err := emitter.InspectDir(filepath.Dir(path))
		if err != nil {
			return diagnoseStore(path, facts, err)
		}
		// Nothing is called so: it is read to its end.
		err = store.FindBolt(ctx, path, store.Query{}, nil)
		return diagnoseStore(path, facts, err)
	})
}

func diagnoseStore(path string, facts emitter.DirFacts, err error) []diagnosis {
	d := diagnosis{checkStore, path, pass, "can be read", ""}
	_, unusable := errors.AsType[*emitter.DirError](err)
	switch {
	case unusable:
		d.Verdict, d.Finding = fail, err.Error()
		d.Remedy = "set STATE_DIR to a directory that can be written to: the worker does not start without"
		return []diagnosis{d}
	case errors.Is(err, store.ErrInUse):
		d.Finding = "a running worker has it"
	case errors.Is(err, fs.ErrNotExist):
		d.Finding = "will be made"
	case err != nil:
		d.Verdict, d.Finding = warn, err.Error()
		d.Remedy = "nothing is to be done: the worker sets it aside and begins another; seeds that waited in it must be handed in again, and candidates that have not changed are published again"
		return []diagnosis{d}
	}
	if facts.Volatile != "" {
		d.Verdict, d.Finding = warn, d.Finding+"; "+facts.Volatile
		d.Remedy = "mount a volume there, or set STATE_DIR to a directory on one, else candidates that have not changed are published again"
	}
	return []diagnosis{d}
}

func diagnoseDir(facts emitter.DirFacts, err error, s *settings) []diagnosis {
	directory := diagnosis{checkDirectory, s.OutputDir, pass, "can be written to", ""}
	if err != nil {
		directory.Verdict, directory.Finding, directory.Remedy = fail, err.Error(), hint(err)
		return []diagnosis{directory}
	}
	if facts.Volatile != "" {
		directory.Verdict, directory.Finding = warn, facts.Volatile+": so do events that only the spool has"
		directory.Remedy = "mount a volume there, or set OUTPUT_DIR to a directory on one"
	}
	fsync := diagnosis{checkFsync, s.OutputDir, pass, fmt.Sprintf("%s in the median, %s at most", rounded(facts.Sync), rounded(facts.SyncMax)), ""}
	if facts.Sync > slowSync {
		fsync.Verdict = warn
		fsync.Remedy = fmt.Sprintf("use a faster disk: while Kafka is away, each group of events waits that long (%v is good)", slowSync)
	}
	all := []diagnosis{directory, fsync}
	if facts.Free < 0 {
		return all
	}
	want := s.DeadLetterBytes
	if s.Kafka {
		want += s.SpoolBytes
	}
	space := diagnosis{checkSpace, s.OutputDir, pass, inBytes(facts.Free) + " free", ""}
	switch {
	case facts.Free < leastFree:
		space.Verdict, space.Remedy = fail, "free space: events that Kafka does not take have no place, and the worker stops taking seeds"
	case facts.Free < want:
		space.Verdict = warn
		space.Remedy = fmt.Sprintf("free space, or lower SPOOL_MAX_BYTES and DLQ_MAX_BYTES: together they may take %s", inBytes(want))
	}
	return append(all, space)
}

// inBytes is a size as the options take it.
func inBytes(n int64) string {
	for i, unit := range []string{"GiB", "MiB", "KiB"} {
		if size := int64(1) << (10 * (3 - i)); n >= size {
			return fmt.Sprintf("%.1f%s", float64(n)/float64(size), unit)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// systemResolvers is what nameservers are called that nobody configured.
const systemResolvers = "the system's"

// examineNameservers returns what asks each nameserver for the canaries.
func examineNameservers(s *settings) (func(context.Context) []diagnosis, error) {
	names, err := readNameservers(s.Nameservers)
	if err != nil {
		return nil, err
	}
	lists := [][]string{nil}
	if len(names) > 0 {
		lists = lists[:0]
		for _, name := range names {
			lists = append(lists, []string{name})
		}
	}
	var each []*resolver.Resolver // one a nameserver: a resolver tells only when none of its own is left
	for _, list := range lists {
		r, err := resolver.New(resolver.Config{
			Upstreams: list, CanaryExists: s.CanaryExists, CanaryAbsent: s.CanaryAbsent, Timeout: s.DNSTimeout, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			for _, r := range each {
				r.Close()
			}
			return nil, s.resolverFault(err)
		}
		each = append(each, r)
	}
	return func(ctx context.Context) []diagnosis {
		errs := make([]error, len(each))
		var asking sync.WaitGroup
		for i, r := range each {
			asking.Go(func() {
				defer r.Close()
				errs[i] = r.Check(ctx)
			})
		}
		asking.Wait()
		return diagnoseNameservers(names, errs)
	}, nil
}

// diagnoseNameservers judges the nameservers by their errors. One that cannot
// be used is left out, as long as there is another.
func diagnoseNameservers(names []string, errs []error) []diagnosis {
	bad := fail
	for _, err := range errs {
		if err == nil {
			bad = warn
		}
	}
	var all []diagnosis
	for i, err := range errs {
		d := diagnosis{checkNameserver, systemResolvers, pass, "answers, and tells the truth about the canaries", ""}
		if i < len(names) {
			d.Subject = names[i]
		}
		var check *resolver.CheckError
		switch {
		case errors.As(err, &check) && len(check.Upstreams) == 1:
			d.Verdict, d.Finding, d.Remedy = bad, check.Upstreams[0].Reason, check.Hint()
		case err != nil:
			d.Verdict, d.Finding, d.Remedy = bad, err.Error(), hint(err)
		}
		all = append(all, d)
	}
	return all
}

// examineRedis asks Redis whether it is there and takes our password. Without it
// candidates are published again, allowed ones too, and none is lost.
func examineRedis(ctx context.Context, s *settings, patience time.Duration) []diagnosis {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	address := net.JoinHostPort(s.RedisHost, strconv.Itoa(s.RedisPort))
	redis := store.NewRedis(store.RedisConfig{Addr: address, Password: s.RedisPassword.Read})
	begin := time.Now()
	err := redis.Ping(ctx)
	took := time.Since(begin)
	if err = errors.Join(err, redis.Close()); err != nil {
		return []diagnosis{{
			checkRedis, address, warn, plain(err),
			"see that Redis runs there and takes REDIS_PASSWORD; without it candidates that have not changed are published again, and a worker that starts knows no domains that are allowed or denied over HTTP",
		}}
	}
	return []diagnosis{{checkRedis, address, pass, "answers in " + rounded(took), ""}}
}

// oldCountries is when a database tells too many addresses wrong: those of MaxMind
// are made anew twice a week.
const oldCountries = 90 * 24 * time.Hour

// examineCountries looks at the database that tells where addresses are.
func examineCountries(ctx context.Context, path string, patience time.Duration) []diagnosis {
	return examineDisk(ctx, checkCountries, path, patience, func() []diagnosis {
		db, err := geoip.Open(path)
		if err != nil {
			return diagnoseCountries(path, time.Time{}, time.Now(), err)
		}
		return diagnoseCountries(path, db.Built(), time.Now(), nil)
	})
}

func diagnoseCountries(path string, built, now time.Time, err error) []diagnosis {
	d := diagnosis{checkCountries, path, pass, "made on " + built.UTC().Format(time.DateOnly), ""}
	if broken, ok := errors.AsType[*geoip.Error](err); ok {
		d.Verdict, d.Finding, d.Remedy = fail, broken.Error(), broken.Hint()+": the worker does not start with this one"
	} else if now.Sub(built) > oldCountries {
		d.Verdict, d.Remedy = warn, "bring a newer one and start the worker again: networks move"
	}
	return []diagnosis{d}
}
