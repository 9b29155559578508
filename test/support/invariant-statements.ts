/** What one statement over the database shows: each part gives a sentence for each row that violates it. */
const parts = [
  // Numbers are dense and never used again.
  `SELECT format('the model "%s" has %s versions up to %s, but counted %s', m.name, count(v.id), max(v.version), m.last_version)
   FROM registered_model m LEFT JOIN model_version v ON v.model_id = m.id GROUP BY m.id
   HAVING count(v.id) <> m.last_version OR coalesce(max(v.version), 0) <> m.last_version OR min(v.version) < 1`,
  `SELECT format('the live models named "%s" are %s', name, count(*)) FROM registered_model
   WHERE deleted_at IS NULL GROUP BY workspace, name HAVING count(*) > 1`,

  // What is deleted is deleted as a whole.
  `SELECT format('version %s of the deleted model "%s" lives', v.version, m.name)
   FROM model_version v JOIN registered_model m ON m.id = v.model_id WHERE m.deleted_at IS NOT NULL AND v.deleted_at IS NULL`,
  `SELECT format('the alias %s of "%s" names version %s, which is not there', a.alias, m.name, a.version)
   FROM model_alias a JOIN registered_model m ON m.id = a.model_id WHERE m.deleted_at IS NOT NULL OR NOT EXISTS
     (SELECT 1 FROM model_version v WHERE v.model_id = a.model_id AND v.version = a.version AND v.deleted_at IS NULL)`,
  `SELECT format('%s keeps %s as %s, but is no live version', r.owner, r.digest, r.kind) FROM blob_reference r
   WHERE r.kind IN ('version', 'program')
     AND NOT EXISTS (SELECT 1 FROM model_version v WHERE v.id::text = r.owner AND v.deleted_at IS NULL)`,
  `SELECT format('a compile job is for %s, which is no live version', j.version_id) FROM compile_job j
   WHERE NOT EXISTS (SELECT 1 FROM model_version v WHERE v.id = j.version_id AND v.deleted_at IS NULL)`,
  `SELECT format('the deleted model "%s" is deployed', m.name) FROM deployment d
   JOIN registered_model m ON m.id = d.model_id WHERE m.deleted_at IS NOT NULL`,

  // A version that is visible is complete.
  `SELECT format('version %s of "%s" has no file', v.version, m.name) FROM model_version v JOIN registered_model m ON m.id = v.model_id
   WHERE v.deleted_at IS NULL AND v.manifest_digest IS NOT NULL
     AND NOT EXISTS (SELECT 1 FROM manifest_file f WHERE f.manifest_digest = v.manifest_digest)`,
  `SELECT format('version %s of "%s" needs %s (%s), which is not stored so', v.version, m.name, f.digest, f.size)
   FROM model_version v JOIN registered_model m ON m.id = v.model_id JOIN manifest_file f ON f.manifest_digest = v.manifest_digest
   WHERE v.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM blob b WHERE b.digest = f.digest AND b.size = f.size)`,
  `SELECT format('version %s of "%s" needs %s, but does not keep it', v.version, m.name, f.digest)
   FROM model_version v JOIN registered_model m ON m.id = v.model_id JOIN manifest_file f ON f.manifest_digest = v.manifest_digest
   WHERE v.deleted_at IS NULL
     AND NOT EXISTS (SELECT 1 FROM blob_reference r WHERE r.digest = f.digest AND r.kind = 'version' AND r.owner = v.id::text)`,
  `SELECT format('version %s of "%s" has the size %s', v.version, m.name, v.size) FROM model_version v JOIN registered_model m ON m.id = v.model_id
   WHERE v.deleted_at IS NULL AND v.manifest_digest IS NOT NULL
     AND v.size <> (SELECT sum(f.size) FROM manifest_file f WHERE f.manifest_digest = v.manifest_digest)`,
  `SELECT format('version %s keeps %s, which is not one of its files', v.id, r.digest) FROM blob_reference r
   JOIN model_version v ON v.id::text = r.owner WHERE r.kind = 'version'
     AND NOT EXISTS (SELECT 1 FROM manifest_file f WHERE f.manifest_digest = v.manifest_digest AND f.digest = r.digest)`,

  // Compiled or waiting for it.
  `SELECT format('version %s of "%s" is pending, but nothing will compile it', v.version, m.name)
   FROM model_version v JOIN registered_model m ON m.id = v.model_id WHERE v.serving_state = 'pending' AND v.deleted_at IS NULL
     AND NOT EXISTS (SELECT 1 FROM compile_job j WHERE j.version_id = v.id)`,
  `SELECT format('version %s of "%s" is %s with the Program %s', v.version, m.name, v.serving_state, v.program_digest)
   FROM model_version v JOIN registered_model m ON m.id = v.model_id WHERE v.deleted_at IS NULL
     AND (v.serving_state = 'servable') <> (v.program_digest IS NOT NULL)`,
  `SELECT format('version %s keeps %s of the Program %s', v.id, r.kept, v.program_digest) FROM model_version v
   CROSS JOIN LATERAL (SELECT count(*) AS kept, coalesce(bool_or(digest = v.program_digest), false) AS itself
                       FROM blob_reference WHERE kind = 'program' AND owner = v.id::text) r
   WHERE v.deleted_at IS NULL AND ((v.program_digest IS NULL AND r.kept > 0)
      OR (v.program_digest IS NOT NULL AND (NOT r.itself OR r.kept > 2)))`,

  // Stages, history, deployments.
  `SELECT format('%s versions of "%s" are in Production', count(*), m.name) FROM model_version v JOIN registered_model m ON m.id = v.model_id
   WHERE v.stage = 'Production' AND v.deleted_at IS NULL GROUP BY m.id HAVING count(*) > 1`,
  `SELECT format('transition %s lies on %s, which is none of its past', t.id, t.below) FROM transition t
   WHERE t.below IS NOT NULL AND NOT EXISTS (SELECT 1 FROM transition u WHERE u.id = t.below AND u.id < t.id
     AND u.model_id = t.model_id AND u.alias IS NOT DISTINCT FROM t.alias)`,
  `SELECT format('"%s" follows %s, so version %s is wanted, but the deployment wants %s', name, follow, held, wanted) FROM followed
   WHERE wanted IS DISTINCT FROM held`,
  `SELECT format('the deployment of "%s" is of version %s while it wants %s', f.name, f.version, f.wanted) FROM followed f
   WHERE (f.version IS NOT NULL AND NOT EXISTS (SELECT 1 FROM model_version v WHERE v.model_id = f.id AND v.version = f.version
       AND v.deleted_at IS NULL AND v.serving_state = 'servable'))
     OR (f.version IS DISTINCT FROM f.wanted AND EXISTS (SELECT 1 FROM model_version v WHERE v.model_id = f.id
       AND v.version = f.wanted AND v.deleted_at IS NULL AND v.serving_state = 'servable'))`,
  `SELECT format('%s deployments have the generation %s', count(*), generation) FROM deployment GROUP BY generation HAVING count(*) > 1`,

  // Each change is told exactly once.
  `SELECT format('the model "%s" has the revision %s, but %s events tell of changes', m.name, m.revision, e.told) FROM registered_model m
   CROSS JOIN LATERAL (SELECT count(*) AS told FROM event WHERE model_id = m.id AND kind IN
     ('model.updated', 'model.deleted', 'version.created', 'version.deleted', 'transition')) e
   WHERE m.revision <> 1 + e.told`,
  `SELECT format('%s events tell of the making of "%s", %s of its deletion', made, name, removed)
   FROM (SELECT m.name, m.deleted_at, (SELECT count(*) FROM event WHERE model_id = m.id AND kind = 'model.created') AS made,
           (SELECT count(*) FROM event WHERE model_id = m.id AND kind = 'model.deleted') AS removed FROM registered_model m) m
   WHERE made <> 1 OR removed <> (deleted_at IS NOT NULL)::int`,
  `SELECT format('%s events tell of the making of version %s of "%s"', e.told, v.version, m.name)
   FROM model_version v JOIN registered_model m ON m.id = v.model_id
   CROSS JOIN LATERAL (SELECT count(*) AS told FROM event WHERE model_id = v.model_id AND version = v.version
                       AND kind = 'version.created' AND data->>'digest' = v.manifest_digest) e
   WHERE v.manifest_digest IS NOT NULL AND e.told <> 1`,
  `SELECT format('%s events tell of the deletion of version %s of "%s"', e.told, v.version, m.name)
   FROM model_version v JOIN registered_model m ON m.id = v.model_id
   CROSS JOIN LATERAL (SELECT count(*) AS told FROM event WHERE model_id = v.model_id AND version = v.version
                       AND kind = 'version.deleted') e
   WHERE e.told > 1 OR (v.deleted_at IS NULL AND e.told > 0) OR (m.deleted_at IS NULL AND v.deleted_at IS NOT NULL AND e.told = 0)`,
  `SELECT format('version %s of "%s" is %s, but told was %s', v.version, m.name, v.serving_state, e.state)
   FROM model_version v JOIN registered_model m ON m.id = v.model_id
   CROSS JOIN LATERAL (SELECT (SELECT data->>'state' FROM event WHERE model_id = v.model_id AND version = v.version
                       AND kind = 'version.compiled' ORDER BY transaction DESC, id DESC LIMIT 1) AS state) e
   WHERE v.deleted_at IS NULL AND v.serving_state <> coalesce(e.state, 'pending')`,
  `SELECT format('%s events tell of transition %s', e.told, t.id) FROM transition t
   CROSS JOIN LATERAL (SELECT count(*) AS told FROM event WHERE model_id = t.model_id AND kind = 'transition'
                       AND (data->>'id')::bigint = t.id) e WHERE e.told <> 1`,
  `SELECT format('an event tells of transition %s, which is not there', e.data->>'id') FROM event e
   WHERE e.kind = 'transition' AND NOT EXISTS (SELECT 1 FROM transition t WHERE t.id = (e.data->>'id')::bigint)`,

  // The first answer, or at least what was done, is known for every key.
  `SELECT format('nothing is known of the idempotency key %s', key) FROM idempotency_key WHERE status IS NULL AND body IS NULL`,
];

/** One statement, so that it sees one moment; gives a column `what`. Uses views of its own. */
export const statements = `WITH followed AS (
    SELECT m.id, m.name, m.follow, d.wanted, d.version,
      CASE WHEN m.follow = 'production'
        THEN (SELECT max(v.version) FROM model_version v WHERE v.model_id = m.id AND v.stage = 'Production' AND v.deleted_at IS NULL)
        ELSE (SELECT a.version FROM model_alias a WHERE a.model_id = m.id AND '@' || a.alias = m.follow) END AS held
    FROM registered_model m LEFT JOIN deployment d ON d.model_id = m.id WHERE m.deleted_at IS NULL)
  ${parts.map((part) => `SELECT * FROM (${part}) AS part (what)`).join('\nUNION ALL\n')}`;
