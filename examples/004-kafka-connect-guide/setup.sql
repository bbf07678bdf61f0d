CREATE TABLE users (
    id SERIAL PRIMARY KEY,
    email VARCHAR(255) UNIQUE NOT NULL,
    name TEXT,
    balance NUMERIC(10,2) DEFAULT 0,
    created_at TIMESTAMPTZ DEFAULT CURRENT_TIMESTAMP
);

-- Create replication user
CREATE USER replicator REPLICATION LOGIN PASSWORD 'your_password';

-- Grant necessary permissions
GRANT SELECT ON ALL TABLES IN SCHEMA public TO replicator;
GRANT USAGE ON SCHEMA public TO replicator;

-- The connector's default publication covers all tables, which only an administrator may create.
CREATE PUBLICATION dbz_publication FOR ALL TABLES;

INSERT INTO users (email, name, balance) VALUES
    ('ann@example.com', 'Ann', 10.00),
    ('bob@example.com', 'Bob', 20.50);
