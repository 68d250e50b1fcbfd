//! CREATE, ALTER and DROP ROLE.

use std::sync::Arc;

use planner::plan::RoleOptions;
use proto::{SqlError, SqlResult, SqlState};
use schema::{Descriptor, Oid, RoleDescriptor};
use sharddb_planner as planner;
use sharddb_proto as proto;
use sharddb_schema as schema;

use super::Changes;
use crate::{catalog, scram};

impl Changes<'_> {
    pub(super) async fn create_role(&mut self, name: &str, options: &RoleOptions) -> SqlResult<()> {
        self.check_may_manage(options)?;
        if name.starts_with("pg_") || name == "public" || name == "none" {
            let message = format!("role name \"{name}\" is reserved");
            return Err(SqlError::new(SqlState::ReservedName, message)
                .with_detail("Role names starting with \"pg_\" are reserved."));
        }
        if self.catalog.role(name).is_some() {
            let message = format!("role \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicateObject, message));
        }
        let role = RoleDescriptor {
            oid: self.new_oid().await?,
            name: name.to_owned(),
            login: false,
            superuser: false,
            create_role: false,
            create_db: false,
            password: None,
        };
        self.put(Descriptor::Role(Arc::new(with_options(role, options)?)))
    }

    pub(super) fn alter_role(&mut self, name: &str, options: &RoleOptions) -> SqlResult<()> {
        let role = self.role(name)?;
        let own_password = role.oid == self.actor.role
            && options.login.is_none()
            && options.superuser.is_none()
            && options.create_role.is_none()
            && options.create_db.is_none();
        if !own_password {
            self.check_may_manage(options)?;
        }
        let role = with_options(RoleDescriptor::clone(&role), options)?;
        self.put(Descriptor::Role(Arc::new(role)))
    }

    pub(super) fn drop_roles(&mut self, names: &[String], if_exists: bool) -> SqlResult<()> {
        self.check_may_manage(&RoleOptions::default())?;
        for name in names {
            let role = match self.role(name) {
                Ok(role) => role,
                Err(error) if if_exists => {
                    self.notice(format!("{}, skipping", error.message()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            if role.oid == self.actor.role {
                return Err(SqlError::new(SqlState::ObjectInUse, "current user cannot be dropped"));
            }
            if role.oid == catalog::BOOTSTRAP_ROLE {
                let message = format!("cannot drop role {name} because it is required by the database system");
                return Err(SqlError::new(SqlState::DependentObjectsStillExist, message));
            }
            self.check_owns_nothing(&role)?;
            self.remove(role.oid);
        }
        Ok(())
    }

    fn role(&self, name: &str) -> SqlResult<Arc<RoleDescriptor>> {
        self.catalog
            .role(name)
            .cloned()
            .ok_or_else(|| SqlError::new(SqlState::UndefinedObject, format!("role \"{name}\" does not exist")))
    }

    fn check_owns_nothing(&self, role: &RoleDescriptor) -> SqlResult<()> {
        let owner = |object: &Descriptor| -> Oid {
            match object {
                Descriptor::Database(object) => object.owner,
                Descriptor::Schema(object) => object.owner,
                Descriptor::Table(object) => object.owner,
                Descriptor::View(object) => object.owner,
                Descriptor::Sequence(object) => object.owner,
                Descriptor::Role(_) => Oid::INVALID,
            }
        };
        if self.catalog.objects().any(|object| owner(object) == role.oid) {
            let message = format!("role \"{}\" cannot be dropped because some objects depend on it", role.name);
            return Err(SqlError::new(SqlState::DependentObjectsStillExist, message));
        }
        Ok(())
    }

    fn check_may_manage(&self, options: &RoleOptions) -> SqlResult<()> {
        if self.actor.superuser {
            return Ok(());
        }
        let may = self
            .catalog
            .objects()
            .any(|object| matches!(object, Descriptor::Role(role) if role.oid == self.actor.role && role.create_role));
        if !may {
            return Err(SqlError::new(SqlState::InsufficientPrivilege, "permission denied to create role"));
        }
        if options.superuser.is_some() {
            let message = "must be superuser to create superusers";
            return Err(SqlError::new(SqlState::InsufficientPrivilege, message));
        }
        Ok(())
    }
}

fn with_options(mut role: RoleDescriptor, options: &RoleOptions) -> SqlResult<RoleDescriptor> {
    role.login = options.login.unwrap_or(role.login);
    role.superuser = options.superuser.unwrap_or(role.superuser);
    role.create_role = options.create_role.unwrap_or(role.create_role);
    role.create_db = options.create_db.unwrap_or(role.create_db);
    match &options.password {
        None => {}
        Some(None) => role.password = None,
        Some(Some(password)) => role.password = scram::verifier_of(password)?,
    }
    Ok(role)
}
