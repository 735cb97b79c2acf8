package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/typostream/typostream/emitter"
)

func replayCommand(t *terminal) *cli.Command {
	options := join([]option{compatOption()}, brokerOptions(), recordTopicOptions(), []option{outputDirOption("out")}, spoolOptions(), logOptions("text"))
	return t.command(&cli.Command{
		Name: "replay", Usage: "publish spooled or saved events, byte for byte", ArgsUsage: "FILE...",
		Description: `EXAMPLES:
   typostream replay --bootstrap 127.0.0.1:9092 out/spool_*.jsonl
   typostream scan -o events.jsonl example.com && typostream replay events.jsonl

A spool file whose every event is delivered is renamed to FILE.replayed; other
files stay as they are. A replay that was ended goes on where it was. A worker
replays its own spool, and refuses to share it: there is nothing to do then.

` + exitCodesHelp,
	}, options, func(ctx context.Context, s *settings, paths []string) error {
		if len(paths) == 0 {
			return usagef("typostream replay out/spool_*.jsonl", "no file given")
		}
		return t.replay(ctx, s, paths)
	})
}

// replay sends each file in turn. A file that cannot be used does not keep the
// others from being sent; Kafka not taking events does.
func (t *terminal) replay(ctx context.Context, s *settings, paths []string) (err error) {
	log := t.logger(s)
	dead, err := openDeadLetters(s, log)
	if err != nil {
		return err
	}
	kafka, err := newKafka(s, nil, dead, nil, log) // nil: what is not delivered stays where it is
	if err != nil {
		return err
	}
	defer func() {
		if e := kafka.Close(context.Background()); e != nil && err == nil {
			err = e
		}
	}()
	unread, left := 0, false
	for _, path := range paths {
		report, err := emitter.Replay(ctx, path, kafka.EmitEach, emitter.ReplayOptions{
			Topic: s.Topics.Candidates, CrawlTopic: s.Topics.Crawl, InactiveTopic: s.Topics.Inactive, Rate: s.ReplayRate,
		})
		t.reportReplay(report)
		left = left || report.BadCount > 0 || report.DeadLettered > 0
		var undelivered *emitter.NotDeliveredError
		switch {
		case err == nil:
			if report.Lines == 0 {
				t.say("%s: no event in it", path)
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &undelivered):
			return err // Kafka is away: the other files would fare no better
		case errors.Is(err, fs.ErrNotExist):
			err = usagef("", "cannot read %s: %w", path, cause(err))
			fallthrough
		default:
			if len(paths) == 1 {
				return err
			}
			t.complain(err)
			unread++
		}
	}
	switch {
	case unread > 0:
		return fmt.Errorf("%d of %d files not replayed", unread, len(paths))
	case left:
		return &incompleteError{"incomplete: the lines named above, or the dead letters, were not delivered"}
	}
	return nil
}

func (t *terminal) reportReplay(r emitter.ReplayReport) {
	shown := r.Bad[:min(len(r.Bad), maxReported)]
	for _, bad := range shown {
		t.say("warning: %s: line %d: %s", r.Path, bad.Line, bad.Reason)
	}
	if more := r.BadCount - len(shown); more > 0 {
		t.say("warning: %s: %d further lines are no events", r.Path, more)
	}
	if r.Torn {
		t.say("warning: %s: the last line was cut off by a crash; nobody was told that it was durable", r.Path)
	}
	if r.Unnoted != nil {
		t.say("warning: %s: it could not be noted how far this replay is: %v", r.Path, r.Unnoted)
	}
	if r.Lines == 0 {
		return
	}
	text := fmt.Sprintf("%s: %d of %s sent", r.Path, r.Sent, plural(r.Lines, "line"))
	if r.Earlier > 0 {
		text += fmt.Sprintf("; %d by an earlier replay", r.Earlier)
	}
	if r.Doubtful > 0 {
		text += fmt.Sprintf("; %d of them may be in the topic twice", r.Doubtful)
	}
	if r.DeadLettered > 0 {
		text += fmt.Sprintf("; %d among the dead letters", r.DeadLettered)
	}
	if r.RenamedTo != "" {
		text += "; renamed to " + filepath.Base(r.RenamedTo)
	}
	t.say("%s", text)
}
