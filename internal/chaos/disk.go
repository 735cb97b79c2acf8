//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/typostream/typostream/emitter"
)

// diskFull fills the disk of the spool while the network is cut: what does not
// fit is handed back to its caller, and what was taken is kept. The disk is a
// tmpfs; without the right to mount one every write that makes a file grow fails
// (RLIMIT_FSIZE).
func diskFull(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, true)
	if err != nil {
		return err
	}
	defer t.proxy.close()
	o := t.order()
	o.Dir = filepath.Join(t.dir, "disk")
	if err := os.Mkdir(o.Dir, 0o755); err != nil {
		return err
	}
	filler, noMount := filepath.Join(o.Dir, "filler"), syscall.Mount("tmpfs", o.Dir, "tmpfs", 0, "size=8m")
	if noMount != nil {
		r.note("no tmpfs (%v): no file may grow instead", noMount)
	} else {
		defer func() { _ = syscall.Unmount(o.Dir, syscall.MNT_DETACH) }() // the folder goes anyhow
		if err := os.WriteFile(filler, make([]byte, 8<<20-128<<10), 0o600); err != nil {
			return err
		}
	}
	l, err := startLoad(o, filepath.Join(t.dir, "log"))
	if err != nil {
		return err
	}
	defer l.kill()
	if err := l.await(ctx, 'A', warmup); err != nil {
		return err
	}
	t.proxy.set(network{cut: true})
	if noMount != nil {
		if err := errors.Join(l.await(ctx, 'S', warmup), l.command("full")); err != nil {
			return err
		}
	}
	if err := l.await(ctx, 'R', warmup); err != nil {
		return err
	}
	if noMount != nil {
		err = l.command("room")
	} else {
		err = os.Remove(filler)
	}
	if err != nil {
		return err
	}
	if err := l.await(ctx, 'S', warmup); err != nil {
		return fmt.Errorf("there is room again: %w", err)
	}
	t.proxy.set(network{})
	if err := l.await(ctx, 'A', warmup); err != nil {
		return err
	}
	if err := l.finish(ctx); err != nil {
		return err
	}
	return s.check(ctx, r, t.topic, o.Dir, claims{}, l)
}

// syncFails has every fsync end in EIO while the network is cut: nothing more
// is promised then. The process is killed, and another sends what it kept.
func syncFails(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, true)
	if err != nil {
		return err
	}
	defer t.proxy.close()
	first, err := startLoad(t.order(), filepath.Join(t.dir, "log"))
	if err != nil {
		return err
	}
	defer first.kill()
	if err := first.await(ctx, 'A', warmup); err != nil {
		return err
	}
	t.proxy.set(network{cut: true})
	if err := first.await(ctx, 'S', warmup); err != nil {
		return err
	}
	if err := first.command("nosync"); err != nil {
		return err
	}
	if err := first.await(ctx, 'R', 1); err != nil {
		return err
	}
	spooled := first.count('S') + callers // whose fsync was before
	if err := first.await(ctx, 'R', warmup); err != nil {
		return err
	}
	if n := first.count('S'); n > spooled {
		r.fail("%d events were said to be in the spool though no fsync succeeds", n-spooled)
	}
	first.kill()
	t.proxy.set(network{})
	o := t.order()
	o.Tag = "second"
	second, err := startLoad(o, filepath.Join(t.dir, "log"))
	if err != nil {
		return err
	}
	defer second.kill()
	if err := second.await(ctx, 'A', warmup); err != nil {
		return err
	}
	if err := second.finish(ctx); err != nil {
		return err
	}
	r.note("handed back when no fsync succeeded: %d", first.counts['R'])
	return s.check(ctx, r, t.topic, t.dir, claims{killed: 1}, first, second)
}

// tornSpool cuts a spool of three events at every byte of its last line, and
// has each replayed: the two before it are in the topic, the third where the
// line was whole.
func tornSpool(ctx context.Context, s *suite, r *row) error {
	t, err := s.trial(ctx, r, false)
	if err != nil {
		return err
	}
	whole, name, err := spoolOfThree(filepath.Join(t.dir, "whole"), t.topic)
	if err != nil {
		return err
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	books := make([]emitter.Accounting, len(whole)-last+1)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	begun := time.Now()
	for i := range books {
		g.Go(func() error {
			dir := filepath.Join(t.dir, fmt.Sprintf("cut%d", i))
			err := os.Mkdir(dir, 0o755)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), whole[:last+i], 0o600)
			}
			if err == nil {
				books[i], err = replayOne(gctx, s.cluster.Brokers(), dir)
			}
			if err != nil {
				return fmt.Errorf("cut after %d bytes of the last line: %w", i, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, b := range books {
		want := int64(2)
		if i == len(books)-1 {
			want = 3
		}
		if !balanced(b) || b.Accepted != want || b.Replayed != want {
			r.fail("cut after %d bytes of the last line: %+v, want %d replayed", i, b, want)
		}
		r.accepted, r.spooled, r.acked, r.replayed = r.accepted+want, r.spooled+want, r.acked+b.Acked, r.replayed+b.Replayed
	}
	r.note("%d spools in %v", len(books), time.Since(begun).Round(time.Millisecond))
	records, err := s.cluster.ReadAll(ctx, t.topic)
	if err != nil {
		return err
	}
	have := map[string]int64{}
	for _, rec := range records {
		have[string(rec.Key)]++
	}
	n := int64(len(books))
	for key, want := range map[string]int64{"k0": n, "k1": n, "k2": 1} {
		r.lost += max(want-have[key], 0)
		r.duplicated += max(have[key]-want, 0)
	}
	if r.lost > 0 || r.duplicated > 0 {
		r.fail("in the topic: %v", have)
	}
	return nil
}

// spoolOfThree returns the bytes and the name of the file that a spool makes.
func spoolOfThree(dir, topic string) (whole []byte, name string, err error) {
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: dir, Log: quiet})
	if err != nil {
		return nil, "", err
	}
	var msgs []emitter.Message
	for i := range 3 {
		msgs = append(msgs, emitter.Message{Topic: topic, Key: fmt.Sprintf("k%d", i), Value: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	if err := errors.Join(spool.Put(msgs, false), spool.Close()); err != nil {
		return nil, "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "spool_*.jsonl"))
	if err != nil || len(files) != 1 {
		return nil, "", fmt.Errorf("the spool made %v, %w", files, err)
	}
	whole, err = os.ReadFile(files[0])
	return whole, filepath.Base(files[0]), err
}

// replayOne opens the folder's spool as a new process does, and sends it.
func replayOne(ctx context.Context, brokers []string, dir string) (emitter.Accounting, error) {
	spool, err := emitter.NewSpool(emitter.SpoolConfig{Dir: dir, Log: quiet})
	if err != nil {
		return emitter.Accounting{}, err
	}
	k, err := emitter.NewKafka(emitter.KafkaConfig{Brokers: brokers, Log: quiet}, spool, nil)
	if err != nil {
		return emitter.Accounting{}, err
	}
	err = k.Recover()
	if left := k.Drain(ctx); err == nil && left > 0 {
		err = fmt.Errorf("%d events stayed in the spool", left)
	}
	err = errors.Join(err, k.Close(ctx), noSpoolButTorn(dir))
	return k.Accounting(), err
}

// noSpoolButTorn allows for the end of a line, kept aside.
func noSpoolButTorn(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "spool_*.jsonl"))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left: %v", left)
	}
	return err
}
