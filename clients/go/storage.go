package keycard

import (
	"context"
	"sync"
	"time"

	"keycard/generated"
)

// Tokens is what a session holds. Printing it shows no secret; encoding it as JSON does.
type Tokens struct {
	AccessToken  string        `json:"access_token"`  // empty with delivery cookie
	RefreshToken string        `json:"refresh_token"` // only with delivery body
	CSRFToken    string        `json:"csrf_token"`    // empty with delivery body
	ExpiresAt    time.Time     `json:"expires_at"`    // of the access token
	Lifetime     time.Duration `json:"lifetime"`      // of the access token, when it was received
}

// Storage keeps the tokens of one session. It may be called by many goroutines at once.
type Storage interface {
	// Load returns what was saved last; zero Tokens when there is nothing.
	Load(context.Context) (Tokens, error)
	Save(context.Context, Tokens) error
	Clear(context.Context) error
}

// String hides the tokens.
func (t Tokens) String() string {
	if t == (Tokens{}) {
		return "no tokens"
	}
	return "tokens until " + t.ExpiresAt.Format(time.RFC3339)
}

// GoString hides the tokens.
func (t Tokens) GoString() string { return t.String() }

// tokensOf takes the tokens out of an answer that has just been received.
func tokensOf(pair *generated.TokenPair) Tokens {
	lifetime := time.Duration(pair.GetExpiresIn()) * time.Second
	return Tokens{pair.GetAccessToken(), pair.GetRefreshToken(), pair.GetCsrfToken(), time.Now().Add(lifetime), lifetime}
}

// refreshable says whether there is a refresh token, here or in a cookie.
func (t Tokens) refreshable() bool {
	return t.RefreshToken != "" || t.CSRFToken != ""
}

// aboutToExpire leaves the refresh a tenth of the lifetime, at most 30 seconds.
func (t Tokens) aboutToExpire() bool {
	return t.refreshable() && time.Until(t.ExpiresAt) <= min(t.Lifetime/10, 30*time.Second)
}

func (t Tokens) expired() bool { return !time.Now().Before(t.ExpiresAt) }

// same says whether these are the tokens of the same refresh; time.Time does not compare after it was stored.
func (t Tokens) same(other Tokens) bool {
	return t.AccessToken == other.AccessToken && t.ExpiresAt.Equal(other.ExpiresAt)
}

func (t Tokens) toCall() credential {
	return credential{bearer: t.AccessToken, csrf: t.CSRFToken}
}

func (t Tokens) toRefresh() credential {
	return credential{bearer: t.RefreshToken, csrf: t.CSRFToken}
}

// memory forgets with the process.
type memory struct {
	mu     sync.Mutex
	tokens Tokens
}

func (m *memory) Load(context.Context) (Tokens, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tokens, nil
}

func (m *memory) Save(_ context.Context, tokens Tokens) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = tokens
	return nil
}

func (m *memory) Clear(ctx context.Context) error {
	return m.Save(ctx, Tokens{})
}
