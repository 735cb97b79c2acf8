package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/typostream/typostream/fuzzer"
	"github.com/typostream/typostream/pipeline"
)

// seedInput is where a one-shot command gets its seeds: arguments, a file of
// lines or CSV, standard input.
type seedInput struct {
	arguments []string
	file      io.Reader // nil if none was named
	name      string    // of file, for messages
}

// openSeeds finds the input of arguments and -i. "-" is standard input in
// either place. close is never nil.
func (t *terminal) openSeeds(arguments []string, path string) (in seedInput, close func(), err error) {
	close = func() {}
	for _, argument := range arguments {
		if argument == "-" {
			path = "-"
			continue
		}
		in.arguments = append(in.arguments, argument)
	}
	switch path {
	case "":
		if len(in.arguments) == 0 {
			return in, close, usagef("give a domain, -i FILE, or - for standard input", "no domain given")
		}
	case "-":
		in.file, in.name = t.stdin, "standard input"
	default:
		file, err := openFile(path)
		if err != nil {
			return in, close, err
		}
		in.file, in.name, close = file, path, func() { file.Close() }
	}
	return in, close, nil
}

// rows yields every seed and everything that is none.
func (in seedInput) rows() iter.Seq[pipeline.Row] {
	return func(yield func(pipeline.Row) bool) {
		for _, argument := range in.arguments {
			seed, err := fuzzer.ParseSeed(argument)
			if !yield(pipeline.Row{Line: 1, Seed: pipeline.Seed{Seed: seed, Brand: pipeline.UnknownBrand}, Err: err}) {
				return
			}
		}
		if in.file == nil {
			return
		}
		for row := range pipeline.ReadSeeds(in.file) {
			if row.Err != nil && row.Line > 0 {
				row.Err = fmt.Errorf("%s: %w", in.name, row.Err)
			}
			if !yield(row) {
				return
			}
		}
	}
}

// seeds yields the good seeds and tells the person about the others. tally is
// complete when the sequence is at its end.
func (t *terminal) seeds(in seedInput, tally *inputTally) iter.Seq[pipeline.Seed] {
	return func(yield func(pipeline.Seed) bool) {
		for row := range in.rows() {
			switch {
			case row.Err == nil:
				tally.addGood(t)
				if !yield(row.Seed) {
					return
				}
			case row.Line == 0:
				tally.broken = fmt.Errorf("%s: %w", in.name, cause(row.Err))
				return
			default:
				tally.addBad(t, row.Err)
			}
		}
	}
}

// inputTally counts what an input held, and tells the person about what is
// bad. Nothing is said of the very first until something follows it: if it is
// the only one, it is the command's error.
type inputTally struct {
	good, bad int
	only      error // the first, as long as nothing was said of it
	broken    error // why the input could not be read to its end
	hint      string
}

// maxReported bounds the bad inputs that get a line of their own.
const maxReported = 20

func (n *inputTally) addGood(t *terminal) {
	n.sayFirst(t)
	n.good++
}

func (n *inputTally) addBad(t *terminal, err error) {
	n.sayFirst(t)
	n.bad++
	switch {
	case n.bad+n.good == 1:
		n.only = err
	case n.bad <= maxReported:
		t.warn(err)
	case n.bad == maxReported+1:
		t.say("warning: further unusable inputs are only counted")
	}
}

func (n *inputTally) sayFirst(t *terminal) {
	if n.only != nil {
		t.warn(n.only)
		n.only = nil
	}
}

// err is the end of the input: nil if there was a good one.
func (n *inputTally) err(name string) error {
	hint := cmp.Or(n.hint, seedFileHint)
	switch {
	case n.broken != nil:
		return n.broken
	case n.good > 0:
		return nil
	case n.only != nil:
		return usagef("", "%w", n.only)
	case n.bad > 1:
		return usagef(hint, "none of %d inputs is a domain that can be used", n.bad)
	default:
		return usagef(hint, "%s holds no domain", name)
	}
}

func (t *terminal) warn(err error) {
	t.say("warning: %s", err)
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		t.say("hint: %s", hinted.Hint())
	}
}

// seedFileHint says what a file of seeds looks like.
const seedFileHint = "one domain a line, or CSV with a column domain or seed_registrable"

// openFile opens an input; a directory or an unreadable file is a usage error.
func openFile(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, usagef("", "cannot read %s: %w", path, cause(err))
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close()
		return nil, usagef("", "cannot read %s: it is a directory", path)
	}
	return file, nil
}

// cause is the error without the path that a *fs.PathError repeats.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// readWords and readSuffixes read the lists named by an option as one; bad
// lines are told by file and number, and a list without a good line is an error.
func (t *terminal) readWords(paths ...string) ([]string, error) {
	return readLists(t, paths, "word", fuzzer.ReadWords)
}

func (t *terminal) readSuffixes(paths ...string) ([]string, error) {
	return readLists(t, paths, "suffix", fuzzer.ReadSuffixes)
}

func readLists(t *terminal, paths []string, what string, read func(io.Reader) ([]string, []fuzzer.BadLine, error)) ([]string, error) {
	var lists [][]string
	for _, path := range paths {
		values, err := readList(t, path, what, read)
		if err != nil {
			return nil, err
		}
		lists = append(lists, values)
	}
	return fuzzer.MergeLists(lists...), nil
}

// readNameservers replaces entries that are files, told by a slash, by what
// stands in them: nameservers separated by blanks, and comments.
func readNameservers(entries []string) ([]string, error) {
	var all []string
	for _, entry := range entries {
		if !strings.Contains(entry, "/") || strings.Contains(entry, "://") {
			all = append(all, entry)
			continue
		}
		file, err := openFile(entry)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(file)
		before := len(all)
		for lines.Scan() {
			for word := range strings.FieldsSeq(strings.TrimPrefix(lines.Text(), "\ufeff")) {
				if strings.HasPrefix(word, "#") {
					break
				}
				all = append(all, word)
			}
		}
		file.Close()
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", entry, err)
		}
		if len(all) == before {
			return nil, usagef("one nameserver a line", "%s names no nameserver", entry)
		}
	}
	return all, nil
}

// readAllowList reads the file of --allow; nil if there is none.
func (t *terminal) readAllowList(path string) (*fuzzer.DomainList, error) {
	if path == "" {
		return nil, nil
	}
	var list *fuzzer.DomainList
	_, err := readList(t, path, "domain", func(r io.Reader) (domains []string, bad []fuzzer.BadLine, err error) {
		list, bad, err = fuzzer.ReadDomainList(r)
		return make([]string, list.Len()), bad, err
	})
	return list, err
}

// leftOut is the end of a tally: what was not looked at, and why.
func leftOut(refused, allowed int) (text string) {
	if refused > 0 {
		text += fmt.Sprintf("; %s refused", plural(refused, "input"))
	}
	if allowed > 0 {
		text += fmt.Sprintf("; %s allowed", plural(allowed, "name"))
	}
	return text
}

func readList(t *terminal, path, what string, read func(io.Reader) ([]string, []fuzzer.BadLine, error)) ([]string, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	values, bad, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, cause(err))
	}
	for i, line := range bad {
		if i == maxReported {
			t.say("warning: %s: %s", path, further(bad[i:]))
			break
		}
		reason := line.Reason
		if line.Used {
			reason += "; used all the same"
		}
		t.say("warning: %s: line %d (%s): %s", path, line.Line, line.Text, reason)
	}
	if len(values) == 0 {
		return nil, usagef("one "+what+" a line", "%s holds no %s that can be used", path, what)
	}
	return values, nil
}

// further counts the lines that are not told one by one.
func further(bad []fuzzer.BadLine) string {
	used := 0
	for _, line := range bad {
		if line.Used {
			used++
		}
	}
	text := fmt.Sprintf("%d further lines cannot be used", len(bad)-used)
	if used > 0 {
		text += fmt.Sprintf(", %d have unknown TLDs and are used", used)
	}
	return text
}

// createOutput opens the file of -o, which must not exist yet; "" and "-" are
// standard output.
func (t *terminal) createOutput(path string) (io.WriteCloser, error) {
	if path == "" || path == "-" {
		return t.output(), nil
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if path == os.DevNull {
		flags = os.O_WRONLY
	}
	file, err := os.OpenFile(filepath.Clean(path), flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, usagef("choose another name or remove it first", "output file %s exists already", path)
	}
	if err != nil {
		return nil, usagef("", "cannot write %s: %w", path, cause(err))
	}
	return output{file, func() {}}, nil
}

// output says of every fault that it is one of the output.
type output struct {
	io.WriteCloser
	before func() // each write
}

// output is standard output. On a terminal it shares the screen with the
// status line.
func (t *terminal) output() output {
	before := func() {}
	if isTerminal(t.stdout) {
		before = t.stderr.wipe
	}
	return output{nopCloser{t.stdout}, before}
}

func (o output) Write(p []byte) (int, error) {
	o.before()
	n, err := o.WriteCloser.Write(p)
	return n, outputFault(err)
}

func (o output) Close() error { return outputFault(o.WriteCloser.Close()) }

func outputFault(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot write the output: %w", cause(err))
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// maybeFile is the path if the file exists.
func maybeFile(dir, name string) (string, bool) {
	if dir == "" {
		return "", false
	}
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	return path, err == nil && !info.IsDir()
}
