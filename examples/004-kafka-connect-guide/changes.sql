INSERT INTO users (email, name) VALUES ('carol@example.com', 'Carol');
UPDATE users SET balance = 30.75 WHERE email = 'carol@example.com';
DELETE FROM users WHERE email = 'bob@example.com';
