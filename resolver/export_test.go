package resolver

import "time"

// Unhurried is cfg with which no query is sent again before ten seconds: for
// tests that count queries on a machine that may be busy.
func Unhurried(cfg Config) Config {
	cfg.floor = 10 * time.Second
	return cfg
}
