package resolver

import (
	"context"
	"slices"

	"github.com/miekg/dns"
)

// confirmAttempts is the number of tries to have a finding confirmed: a server
// that does not answer must not hold up what is known already.
const confirmAttempts = 1

// confirm asks another upstream, if one is in use, whether a name that was
// found exists, and notes in a if it says no. One question for the few names
// that exist is cheap; that an answer is missing means nothing. The only errors
// are those of Resolve.
func (r *Resolver) confirm(ctx context.Context, fqdn string, a *Answer) error {
	if len(*r.active.Load()) < 2 {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(r.order()), func(u *upstream) bool {
		l := u.link.Load()
		return l != nil && l.text == a.Server
	})
	o, err := r.inquire(ctx, others, confirmAttempts, fqdn, r.cfg.Types[0])
	if err != nil {
		return err
	}
	if o.rcode == dns.RcodeNameError && !o.alias {
		a.Disputed = o.server
		r.findings.disputed.Inc()
	}
	return nil
}
