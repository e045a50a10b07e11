package issuer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/reelflow/reelflow/video"
)

// person reads from a token, which holds, what it says of somebody.
func (i *Issuer) person(t *oidc.IDToken) (Person, error) {
	var claims map[string]any
	if err := t.Claims(&claims); err != nil {
		return Person{}, refused("its claims can't be read", err)
	}
	if t.Subject == "" {
		return Person{}, refused("it names nobody", nil)
	}
	name, _ := find(claims, i.settings.NameClaim).(string)
	if name == "" {
		return Person{}, refused(fmt.Sprintf("it has no claim %q, by which people are known here", i.settings.NameClaim), nil)
	}
	// An address that nobody checked may be somebody else's (OpenID Connect Core 1.0, section 5.1).
	if checked, _ := claims["email_verified"].(bool); i.settings.NameClaim == "email" && !checked {
		return Person{}, refused("its email address is not verified", nil)
	}
	return Person{Name: name, Operator: i.operator.holds(claims), Until: t.Expiry.Add(leeway)}, nil
}

// rule is a claim and the value that it must have, or hold.
type rule struct{ claim, value string }

// parseRule reads CLAIM=VALUE or CLAIM:VALUE: a claim that is this text, a list
// with this text in it, or words of which this is one. CLAIM alone must be true.
// CLAIM may be a path through objects, as in realm_access.roles. Where a claim's
// own name has a colon in it, as addresses do, use the equals sign.
func parseRule(text string) (rule, error) {
	r := rule{claim: text}
	if claim, value, ok := strings.Cut(text, "="); ok {
		r = rule{claim, value}
	} else if at := strings.LastIndex(text, ":"); at >= 0 && !strings.HasPrefix(text[at:], "://") {
		r = rule{text[:at], text[at+1:]}
	}
	if r.claim == "" && text != "" || r.value == "" && len(r.claim) < len(text) {
		return rule{}, video.Errorf(video.Invalid, "The operator claim is written CLAIM=VALUE, as in roles=reelflow-operator.")
	}
	return r, nil
}

func (r rule) holds(claims map[string]any) bool {
	if r.claim == "" {
		return false
	}
	switch found := find(claims, r.claim).(type) {
	case bool:
		return found && (r.value == "" || r.value == "true")
	case string:
		return r.value != "" && (found == r.value || slices.Contains(strings.Fields(found), r.value))
	case []any:
		return r.value != "" && slices.Contains(found, any(r.value))
	}
	return false
}

// find returns the claim of this name or, if there is none, what lies at this path.
func find(claims map[string]any, name string) any {
	if found, ok := claims[name]; ok {
		return found
	}
	outer, inner, nested := strings.Cut(name, ".")
	if object, ok := claims[outer].(map[string]any); nested && ok {
		return find(object, inner)
	}
	return nil
}
