package main

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/internal/vault"
)

type vaultCommand struct {
	atPlaces `kong:"-"`

	Check  vaultCheckCommand  `cmd:"" help:"Open everything in the vault, and say what is there; exit code 1 if something is wrong."`
	Rotate vaultRotateCommand `cmd:"" help:"Put the keys under a new root now, and take the old one out of the files."`
}

type vaultCheckCommand struct {
	atPlaces `kong:"-"`
}

// Run fails when something of the vault is damaged, or overdue.
func (vaultCheckCommand) Run(s *shell) error {
	return s.withVault(func(v vault.Vault) error {
		r, err := v.Check(s.ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "installation %s\nkeys %d, of which tentative %d\nrecords of erasures %d, of which pending %d\n",
			r.Installation, r.Keys, r.Tentative, r.Records, r.Pending)
		for _, what := range r.Damage {
			fmt.Fprintln(s.out, "damaged:", what)
		}
		if !r.ForgettingOverdue.IsZero() {
			fmt.Fprintf(s.out, "overdue: what was destroyed since %s may still be found in the files of the root's server; starter vault rotate says why\n", moment(&r.ForgettingOverdue))
		}
		if len(r.Damage) > 0 || !r.ForgettingOverdue.IsZero() {
			return said{errors.New("the vault is not as it should be")}
		}
		fmt.Fprintln(s.out, "ok")
		return nil
	})
}

type vaultRotateCommand struct {
	atPlaces `kong:"-"`
}

// Run is safe beside programs that use the vault.
func (vaultRotateCommand) Run(s *shell) error {
	return s.withVault(func(v vault.Vault) error {
		if err := v.Rotate(s.ctx); err != nil {
			return err
		}
		fmt.Fprintln(s.out, "the keys are under a new root, and no older one can be found any more")
		return nil
	})
}

// withVault is withPlaces for those who need the vault alone.
func (s *shell) withVault(do func(vault.Vault) error) error {
	return s.withPlaces(func(p *places, _ client.Client) error { return do(p.keys) })
}
