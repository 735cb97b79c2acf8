//go:build unix

package kafkatest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// LibsEnv names the environment variable that overrides where the jars are.
const LibsEnv = "TYPOSTREAM_KAFKA_LIBS"

// oldestJava is the oldest Java that runs a Kafka 4 broker (KIP-1013).
const oldestJava = 17

// stampFile, beside the jars, holds the checksum of the pom.xml they came from.
const stampFile = "pom.sha256"

// A MissingError says that something the cluster needs is not on this machine.
// Its text is one line for people, with what to do about it.
type MissingError struct {
	What   string // what is missing, such as "java"
	Advice string // the command that brings it
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("real Kafka brokers need %s: %s", e.What, e.Advice)
}

// Hint returns the command that brings what is missing.
func (e *MissingError) Hint() string { return e.Advice }

func missing(what string) *MissingError {
	return &MissingError{What: what, Advice: "apt-get install openjdk-17-jre-headless maven"}
}

// A site is what the machine has to run brokers with.
type site struct {
	java string // path of the java command
	libs string // directory of the jars
	data string // testdata/kafka of the module
}

// findSite looks for the module and its directories; it does not look for Java or jars.
// libs overrides the place of the jars; "" is $TYPOSTREAM_KAFKA_LIBS or testdata/kafka/libs.
func findSite(libs string) (site, error) {
	root, err := moduleRoot()
	if err != nil {
		return site{}, err
	}
	s := site{data: filepath.Join(root, "testdata", "kafka")}
	libs = cmp.Or(libs, os.Getenv(LibsEnv), filepath.Join(s.data, "libs"))
	s.libs, err = filepath.Abs(libs)
	return s, err
}

// moduleRoot is the nearest directory upwards of the working directory that has a go.mod.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("kafkatest: no go.mod above the working directory")
		}
		dir = parent
	}
}

// needJava finds java, by JAVA_HOME and else by PATH, and checks its age.
func (s *site) needJava(ctx context.Context) error {
	s.java = "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		s.java = filepath.Join(home, "bin", "java")
	}
	path, err := exec.LookPath(s.java)
	if err != nil {
		return missing("Java 17 or newer")
	}
	s.java = path
	out, err := exec.CommandContext(ctx, s.java, "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("kafkatest: %s -version: %w: %s", s.java, err, firstLine(out))
	}
	if v := javaMajor(string(out)); v < oldestJava {
		return missing(fmt.Sprintf("Java 17 or newer (%s is %s)", s.java, firstLine(out)))
	}
	return nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line
}

var javaVersion = regexp.MustCompile(`version "(\d+)(?:\.(\d+))?`)

// javaMajor reads the feature release out of what `java -version` prints: 8 of "1.8.0_392", 17 of "17.0.15"; 0 if there is none.
func javaMajor(out string) int {
	m := javaVersion.FindStringSubmatch(out)
	if m == nil {
		return 0
	}
	if m[1] == "1" && m[2] != "" {
		m[1] = m[2]
	}
	v, _ := strconv.Atoi(m[1]) // digits by the expression; 0 if they are too many
	return v
}

func (s *site) needJars() error {
	jars, _ := filepath.Glob(filepath.Join(s.libs, "kafka_2.13-*.jar")) // the pattern is well-formed
	if len(jars) == 0 {
		return &MissingError{What: "their jars in " + s.libs, Advice: "make kafka-jars"}
	}
	return nil
}

// Fetch brings the jars of Apache Kafka to the libs directory by Maven. It does
// nothing when the jars there are of the present pom.xml, or were put there by
// someone else. The directory appears whole or not at all. Without Java or Maven the error is a *MissingError; if
// Maven failed, the error has what it said.
func Fetch(ctx context.Context) error {
	s, err := findSite("")
	if err != nil {
		return err
	}
	if err := s.needJava(ctx); err != nil {
		return err
	}
	pom := filepath.Join(s.data, "pom.xml")
	text, err := os.ReadFile(pom)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	stamp := hex.EncodeToString(sum[:])
	have, err := os.ReadFile(filepath.Join(s.libs, stampFile))
	switch {
	case err == nil && strings.TrimSpace(string(have)) == stamp:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		// Not of Fetch's making, if it is there at all: jars are used as they are, anything else is not replaced.
		if s.needJars() == nil {
			return nil
		}
		if entries, err := os.ReadDir(s.libs); err == nil && len(entries) > 0 {
			return fmt.Errorf("kafkatest: %s has other files than Kafka's jars: let %s name another directory", s.libs, LibsEnv)
		}
	case err != nil:
		return err
	}
	return s.fetch(ctx, pom, stamp)
}

func (s *site) fetch(ctx context.Context, pom, stamp string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return missing("Maven")
	}
	if err := os.MkdirAll(filepath.Dir(s.libs), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(s.libs), "libs-*.tmp")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	// MkdirTemp's mode is for the owner alone; jars are no secret.
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", pom,
		"-Dstyle.color=never", "dependency:copy-dependencies", "-DoutputDirectory="+tmp, "-DincludeScope=runtime")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kafkatest: Maven could not bring the Kafka jars: %w\n%s", err, bytes.TrimSpace(out))
	}
	if err := os.WriteFile(filepath.Join(tmp, stampFile), []byte(stamp+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(s.libs); err != nil {
		return err
	}
	return os.Rename(tmp, s.libs)
}
