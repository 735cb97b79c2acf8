package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/urfave/cli/v3"
)

// healthcheckTime is what a worker has for its answer, which it knows already.
const healthcheckTime = 3 * time.Second

func healthcheckCommand(t *terminal) *cli.Command {
	var live bool
	var options []option
	for _, o := range workerCatalogue() {
		if o.name == "http-addr" {
			options = append(options, o)
		}
	}
	return t.command(&cli.Command{
		Name: "healthcheck", Usage: "ask the worker of this machine whether it is ready; for containers without a shell",
		Description: "Exits 0 when it is, 1 when it is not or does not answer within 3 s.\n\nEXAMPLE:\n   typostream healthcheck --live",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "live", Usage: "ask only whether it is alive: /livez instead of /readyz", Destination: &live}},
	}, options, func(ctx context.Context, s *settings, args []string) error {
		if len(args) > 0 {
			return usagef("", "healthcheck takes no arguments (got %q)", args[0])
		}
		path := "/readyz"
		if live {
			path = "/livez"
		}
		return t.healthcheck(ctx, s.HTTPAddrs[0], path)
	})
}

// healthcheck prints one sentence if the worker answers 200.
func (t *terminal) healthcheck(ctx context.Context, listens, path string) error {
	addr, err := reachable(listens)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return usagef("HTTP_ADDR or --http-addr, as the worker has it", "cannot ask %s: %w", addr, err)
	}
	// A proxy of the environment must not be asked for the loopback.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no answer from the worker: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("no whole answer from the worker: %w", err)
	}
	var answer struct{ Status string }
	if json.Unmarshal(body, &answer) != nil || answer.Status == "" {
		answer.Status = http.StatusText(response.StatusCode)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d: %s", addr+path, response.StatusCode, answer.Status)
	}
	_, err = fmt.Fprintln(t.output(), printable(answer.Status))
	return err
}

// reachable is where a server that listens on an address can be asked from the
// same machine: one that listens on all addresses is asked at the loopback.
func reachable(listens string) (string, error) {
	host, port, err := net.SplitHostPort(listens)
	if err != nil {
		return "", usagef("HTTP_ADDR or --http-addr, as the worker has it", "no address to ask: %w", err)
	}
	if port == "0" {
		return "", usagef("give the worker a port of its own", "a worker at %s chose its port by itself", listens)
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
